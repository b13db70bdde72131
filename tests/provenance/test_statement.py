"""The content of a record in the forms of in-toto and CycloneDX."""

import json
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.registry.samples import record_with, trained
from understudy.domain.versions import VersionRef
from understudy.provenance.bill_of_materials import ml_bom
from understudy.provenance.statement import in_toto_statement

GIT_SOURCE = {"kind": "git", "repository": "https://e.org/r", "commit": "ab" * 20, "dirty": False}


def dependencies_of(path: str, value: object) -> list[dict[str, object]]:
    statement = in_toto_statement(
        VersionRef("fraud", 1), (), record_with(path, value), provenance_digest="ab" * 32
    )
    found: list[dict[str, object]] = statement["predicate"]["buildDefinition"][
        "resolvedDependencies"
    ]
    return found


def test_a_commit_is_a_git_dependency() -> None:
    code = dependencies_of("code.source", GIT_SOURCE)[0]

    assert code["uri"] == f"git+https://e.org/r@{'ab' * 20}"
    assert code["digest"] == {"gitCommit": "ab" * 20}


def test_a_snapshot_is_not_a_digest() -> None:
    training = dependencies_of("data.training.content", "snapshot:4711")[1]

    assert training["annotations"] == {"snapshot": "4711"}
    assert "digest" not in training


def bom_of(path: str, value: object) -> dict[str, Any]:
    return ml_bom(VersionRef("fraud", 1), (), record_with(path, value), provenance_digest="ab" * 32)


def test_every_reference_of_a_bill_of_materials_leads_to_a_component() -> None:
    bom = bom_of("data.others", [trained().record["data"]["training"]])

    known = {component["bom-ref"] for component in bom["components"]}
    [dependency] = bom["dependencies"]
    card = bom["metadata"]["component"]["modelCard"]
    assert set(dependency["dependsOn"]) == known
    assert len(known) == len(bom["components"])
    assert {each["ref"] for each in card["modelParameters"]["datasets"]} <= known
    assert len(card["modelParameters"]["datasets"]) == 3


def test_a_waived_licence_is_left_out_of_the_bill_of_materials() -> None:
    assert "licenses" not in bom_of("policy.licence", {"absent": True})["metadata"]["component"]
    assert "licenses" in bom_of("policy.licence", "MIT")["metadata"]["component"]


def test_a_snapshot_is_the_version_of_its_data() -> None:
    training = bom_of("data.training.content", "snapshot:4711")["components"][0]

    assert training["version"] == "4711"
    assert "hashes" not in training


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("people.owner", "risk team"),
        ("code.source", GIT_SOURCE),
        ("policy.licence", "see the wiki, page 7"),
        ("data.training.content", "snapshot:2026-01-01"),
    ],
)
def test_the_bill_of_materials_is_valid_by_the_schema_of_cyclonedx(path: str, value: Any) -> None:
    bom = json.dumps(bom_of(path, value))

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bom) is None
