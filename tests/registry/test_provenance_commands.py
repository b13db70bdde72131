"""Commands about provenance: a record to fill in, and exports for other tools."""

import json
from pathlib import Path

from tests.registry.commands import command, json_of
from tests.registry.samples import ACTOR
from understudy.runtime.exit_codes import OK, USAGE


def test_a_skeleton_is_written_once(tmp_path: Path) -> None:
    file = tmp_path / "provenance.json"

    first = command("provenance", "init", str(file), "--dir", str(tmp_path), "--actor", ACTOR)
    second = command("provenance", "init", str(file), "--dir", str(tmp_path))

    assert first.exit_code == OK
    assert json.loads(file.read_text())["people"]["author"] == ACTOR
    assert second.exit_code == USAGE


def test_a_version_is_exported_for_other_tools(unchanged: str) -> None:
    result = command("export", "fraud@1")

    statement = json.loads(result.stdout)
    version = json_of("show", "fraud@1")
    build = statement["predicate"]["buildDefinition"]
    run = statement["predicate"]["runDetails"]
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert {subject["digest"]["sha256"] for subject in statement["subject"]} == {
        file["sha256"] for file in version["files"]
    }
    assert build["externalParameters"]["parameters"]["C"] == 1.0
    assert [each["name"] for each in build["resolvedDependencies"]] == ["code", "train", "kept"]
    assert run["byproducts"][0]["digest"]["sha256"] == version["provenance_digest"]
    assert run["builder"]["id"] == "urn:understudy:builder:pytest"


def test_a_version_is_exported_as_a_bill_of_materials(unchanged: str) -> None:
    bom = json.loads(command("export", "fraud", "2", "--format", "cyclonedx").stdout)

    component = bom["metadata"]["component"]
    version = json_of("show", "fraud@2")
    digests = {file["path"]: file["sha256"] for file in version["files"]}
    assert (bom["bomFormat"], bom["specVersion"]) == ("CycloneDX", "1.6")
    assert component["hashes"] == [{"alg": "SHA-256", "content": digests["model.onnx"]}]
    metrics = component["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    assert [metric["type"] for metric in metrics] == ["auc", "brier", "accuracy"]
