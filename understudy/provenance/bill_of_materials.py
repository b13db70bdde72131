"""A version as a CycloneDX 1.6 bill of materials with a model card (ML-BOM), for other tools."""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from understudy.domain.versions import MODEL_FILE, ArtifactFile, VersionRef

SPEC_VERSION = "1.6"


def ml_bom(
    ref: VersionRef,
    files: Iterable[ArtifactFile],
    record: Mapping[str, Any],
    *,
    provenance_digest: str,
) -> dict[str, Any]:
    """Return the bill of materials of a registered version: model, data, packages, code.

    Args:
        ref: the version.
        files: the files of its artifact.
        record: the complete provenance record of the version.
        provenance_digest: sha256 of the record's canonical JSON.
    """
    data = record["data"]
    datasets = [data["training"], data["evaluation"], *data.get("others", ())]
    packages = record["environment"]["packages"]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": SPEC_VERSION,
        "version": 1,
        "metadata": {
            "timestamp": record["run"]["ended_at"],
            "component": _model(ref, files, record, provenance_digest),
        },
        "components": [
            *(_dataset(dataset, number) for number, dataset in enumerate(datasets)),
            *(_package(name, version) for name, version in sorted(packages.items())),
        ],
        "dependencies": [
            {
                "ref": str(ref),
                "dependsOn": [
                    *(_dataset_ref(number) for number in range(len(datasets))),
                    *(_purl(name, version) for name, version in sorted(packages.items())),
                ],
            }
        ],
    }


def _model(
    ref: VersionRef, files: Iterable[ArtifactFile], record: Mapping[str, Any], digest: str
) -> dict[str, Any]:
    policy, people = record["policy"], record["people"]
    facts = {f"understudy:file:{file.path}": f"sha256:{file.sha256}" for file in files}
    facts |= {
        "understudy:provenance": f"sha256:{digest}",
        "understudy:owner": people["owner"],
        "understudy:approver": people["approver"],
        "understudy:revalidate_by": policy["revalidate_by"],
        "understudy:parent": record["parent"]["version"],
        "understudy:code": _code(record["code"]["source"]),
    }
    component: dict[str, Any] = {
        "type": "machine-learning-model",
        "bom-ref": str(ref),
        "name": ref.model,
        "version": str(ref.number),
        "hashes": [
            {"alg": "SHA-256", "content": file["sha256"]}
            for file in record["artifact"]["files"]
            if file["path"] == MODEL_FILE
        ],
        "authors": [{"name": people["author"]}],
        "modelCard": _model_card(record),
        "properties": [{"name": name, "value": value} for name, value in facts.items()],
    }
    if isinstance(policy["licence"], str):  # otherwise it is waived
        component["licenses"] = [{"license": {"name": policy["licence"]}}]
    return component


def _model_card(record: Mapping[str, Any]) -> dict[str, Any]:
    artifact, evaluation = record["artifact"], record["evaluation"]
    data = record["data"]
    count = 2 + len(data.get("others", ()))
    return {
        "modelParameters": {
            "datasets": [{"ref": _dataset_ref(number)} for number in range(count)],
            "inputs": [{"format": _tensor(each)} for each in artifact["inputs"]],
            "outputs": [{"format": _tensor(each)} for each in artifact["outputs"]],
        },
        "quantitativeAnalysis": {
            "performanceMetrics": [_metric(metric) for metric in evaluation["metrics"]]
        },
        "considerations": {"useCases": [record["policy"]["intended_use"]]},
    }


def _metric(metric: Mapping[str, Any]) -> dict[str, Any]:
    interval = metric["interval"]
    return {
        "type": metric["name"],
        "value": str(metric["value"]),
        "slice": metric["slice"],
        "confidenceInterval": {
            "lowerBound": str(interval["low"]),
            "upperBound": str(interval["high"]),
        },
    }


def _dataset(dataset: Mapping[str, Any], number: int) -> dict[str, Any]:
    kind, _, identity = dataset["content"].partition(":")
    component: dict[str, Any] = {
        "type": "data",
        "bom-ref": _dataset_ref(number),
        "name": dataset["name"],
        "data": [{"type": "dataset", "name": dataset["name"], "contents": {"url": dataset["uri"]}}],
    }
    if kind == "sha256":
        component["hashes"] = [{"alg": "SHA-256", "content": identity}]
    else:
        component["version"] = identity
    return component


def _package(name: str, version: str) -> dict[str, Any]:
    purl = _purl(name, version)
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def _purl(name: str, version: str) -> str:
    return f"pkg:pypi/{quote(name.lower().replace('_', '-'))}@{quote(version)}"


def _dataset_ref(number: int) -> str:
    return f"dataset-{number}"


def _code(source: Mapping[str, Any]) -> str:
    if source["kind"] == "git":
        return f"git+{source['repository']}@{source['commit']}"
    return f"{_purl(source['name'], source['version'])} sha256:{source['sha256']}"


def _tensor(tensor: Mapping[str, Any]) -> str:
    return f"{tensor['name']} {tensor['datatype']} {tensor['shape']}"
