"""A version as an in-toto Statement v1 with a SLSA Provenance v1 predicate, for other tools.

The statement contains the record's content in another form; `dsse` signs it. `byproducts` names
the record itself by its digest, so that a reader can look up every detail.
"""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from understudy.domain.versions import ArtifactFile, VersionRef

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:understudy:training:v1"
_BUILDER = "urn:understudy:builder:"


def in_toto_statement(
    ref: VersionRef,
    files: Iterable[ArtifactFile],
    record: Mapping[str, Any],
    *,
    provenance_digest: str,
) -> dict[str, Any]:
    """Return the statement about a registered version.

    Args:
        ref: the version.
        files: the files of its artifact; each is a subject, by its sha256.
        record: the complete provenance record of the version.
        provenance_digest: sha256 of the record's canonical JSON.
    """
    return {
        "_type": STATEMENT_TYPE,
        "subject": [
            {"name": f"{ref}/{file.path}", "digest": {"sha256": file.sha256}} for file in files
        ],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "buildDefinition": _build_definition(record),
            "runDetails": _run_details(ref, record["run"], provenance_digest),
        },
    }


def _build_definition(record: Mapping[str, Any]) -> dict[str, Any]:
    code, data = record["code"], record["data"]
    datasets = [data["training"], data["evaluation"], *data.get("others", ())]
    return {
        "buildType": BUILD_TYPE,
        "externalParameters": {
            "entryPoint": code["entry_point"],
            "commandLine": code["command_line"],
            "parameters": record["parameters"]["values"],
            "seeds": record["seeds"]["values"],
            "features": [column["ref"] for column in record["features"]["columns"]],
        },
        "internalParameters": {"environment": record["environment"], "split": data["split"]},
        "resolvedDependencies": [_code(code["source"]), *(_dataset(each) for each in datasets)],
    }


def _run_details(ref: VersionRef, run: Mapping[str, Any], digest: str) -> dict[str, Any]:
    return {
        "builder": {"id": f"{_BUILDER}{quote(run['builder'], safe='')}"},
        "metadata": {
            "invocationId": run["id"],
            "startedOn": run["started_at"],
            "finishedOn": run["ended_at"],
        },
        "byproducts": [{"name": f"{ref} provenance record", "digest": {"sha256": digest}}],
    }


def _code(source: Mapping[str, Any]) -> dict[str, Any]:
    if source["kind"] == "git":
        uri = f"git+{source['repository']}@{source['commit']}"
        return {"name": "code", "uri": uri, "digest": {"gitCommit": source["commit"]}}
    return {
        "name": "code",
        "uri": f"pkg:pypi/{quote(source['name'])}@{quote(source['version'])}",
        # Over the list of files, not over one file: not a digest in the sense of the specification.
        "annotations": {"sourceFilesSha256": source["sha256"], "sourceFiles": source["files"]},
    }


def _dataset(dataset: Mapping[str, Any]) -> dict[str, Any]:
    kind, _, identity = dataset["content"].partition(":")
    described = {"name": dataset["name"], "uri": dataset["uri"]}
    if kind == "sha256":
        return {**described, "digest": {"sha256": identity}}
    return {**described, "annotations": {"snapshot": identity}}
