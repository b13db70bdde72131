"""The registry of an earlier build, which had operators that this build does not have."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import onnx

from registry.change_deployment import ChangeRequest, DeploymentChanger
from registry.decisions.actors import Actor
from registry.register_version import Registrar, Registration
from registry.store.artifacts import ArtifactStore
from registry.store.database import open_database
from stack.demo import Prepared
from stack.training import CANDIDATES, MODEL, SCORE_OUTPUT
from tests.stack.deployed import Former
from understudy.artifact.artifact import describe_artifact
from understudy.control.identity import default_actor
from understudy.domain.changes import DeployChampion
from understudy.domain.versions import MODEL_FILE, ArtifactFile
from understudy.provenance.inspect_artifact import inspect_directory

DOMAIN = "org.example.earlier"
ONNX_RUNTIME = "1.0.0"  # of the earlier build: no proof that the installed one loads an artifact


def now() -> datetime:
    return datetime.now(UTC)


def write_past(prepared: Prepared) -> Former:
    """Register version 1 and deploy it, with an artifact that only the earlier build can load.

    Its gate found what this one finds in the same model without the foreign operator.
    """
    author = replace(prepared.author("127.0.0.1:1"), champion=None)  # there is no registry yet
    with author.trained(CANDIDATES[0]) as run:
        record = run.record()
    artifact = prepared.directory.training / "artifacts" / CANDIDATES[0].part
    inspection = inspect_directory(artifact)
    add_foreign_operator(artifact / MODEL_FILE)
    _, files = describe_artifact(artifact)
    opsets = {**inspection.opsets, DOMAIN: 1}
    record["artifact"] = {**record["artifact"], "opsets": opsets, "files": claims(files)}
    record["features"]["transform"]["digest"] = sha256_of_model(files)
    actor = Actor(default_actor())
    asked = Registration(
        MODEL, files, json.dumps(record), (prepared.view,), SCORE_OUTPUT, "then", actor
    )
    folder = prepared.directory.registry
    artifacts = ArtifactStore(folder / "artifacts")
    engine = open_database(folder / "registry.sqlite")
    registrar = Registrar(engine, artifacts, now)
    found = inspection.model_copy(update={"opsets": opsets, "onnxruntime": ONNX_RUNTIME})
    submission = registrar.prepare(asked, files, found)
    with artifacts.stage() as staging:
        for file in files:
            (staging.directory / file.path).write_bytes((artifact / file.path).read_bytes())
        report, registered = registrar.register(asked, submission, staging)
    assert registered is not None, report.findings
    change = ChangeRequest(MODEL, DeployChampion(1), "then", actor, None, dry_run=False)
    assert DeploymentChanger(engine, now).change(change).after.revision == 1
    engine.dispose()
    auc = next(each["value"] for each in record["evaluation"]["metrics"] if each["name"] == "auc")
    return Former(str(registered.version.spec.ref), auc)


def add_foreign_operator(path: Path) -> None:
    model = onnx.load(path)
    read, made = model.graph.input[0].name, "unused"
    model.graph.node.append(onnx.helper.make_node("Calibrate", [read], [made], domain=DOMAIN))
    model.opset_import.append(onnx.helper.make_opsetid(DOMAIN, 1))
    path.write_bytes(model.SerializeToString())


def claims(files: tuple[ArtifactFile, ...]) -> list[dict[str, Any]]:
    return [{"path": f.path, "sha256": f.sha256, "size_bytes": f.size_bytes} for f in files]


def sha256_of_model(files: tuple[ArtifactFile, ...]) -> str:
    return next(each.sha256 for each in files if each.path == MODEL_FILE)
