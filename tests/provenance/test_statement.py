"""The content of a record in the forms of in-toto and CycloneDX."""

import json
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

from tests.registry.samples import record_with, trained
from understudy.domain.canonical import canonical_json
from understudy.domain.versions import ArtifactFile, VersionRef
from understudy.provenance.bill_of_materials import ml_bom
from understudy.provenance.dsse import IN_TOTO_TYPE
from understudy.provenance.signing_keys import SigningKeys, new_private_key
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


def test_other_implementations_accept_a_signed_statement_and_find_a_change() -> None:
    keys = SigningKeys.read(new_private_key(), "key")
    statement = in_toto_statement(
        VersionRef("fraud", 1),
        [ArtifactFile("model.onnx", "cd" * 32, 7)],
        trained().record,
        provenance_digest="ab" * 32,
    )
    signed = keys.signed(IN_TOTO_TYPE, canonical_json(statement).encode())
    public = load_pem_public_key(keys.public_pem.encode())
    judge = SSlibKey.from_crypto(public, keyid=signed.signatures[0].key_id)

    Envelope.from_dict(signed.content).verify([judge], threshold=1)
    read = json_format.Parse(signed.payload, statement_pb2.Statement())
    Statement.copy_from_pb(read).validate()
    json_format.ParseDict(statement["predicate"], provenance_pb2.Provenance())

    changed = replace(signed, payload=signed.payload.replace(b"fraud", b"fraub", 1))
    with pytest.raises(VerificationError):
        Envelope.from_dict(changed.content).verify([judge], threshold=1)
