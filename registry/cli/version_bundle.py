"""A bundle: a version in a directory, with the signed statement of the registry that it comes from.

DIR/artifact/…         the files
DIR/provenance.json    the record
DIR/version.json       everything else that acts: signature, features, views, score output
DIR/statement.json     the registry's statement in a signed DSSE envelope
"""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from google.protobuf.json_format import MessageToJson, Parse, ParseError

from registry.decisions.version_statement import VersionStatement, statement_from_document
from understudy.artifact.artifact import describe_artifact
from understudy.control.wire import version_from_wire
from understudy.domain.errors import CheckFailedError, Fault, InvalidInputError, NotFoundError
from understudy.domain.snapshots import VersionSpec
from understudy.domain.version_content import content_digest_of
from understudy.domain.versions import artifact_digest
from understudy.provenance.dsse import VERSION_TYPE, envelope_from_json
from understudy.provenance.signing_keys import TrustedKeys
from understudy.registry.v1 import registry_pb2 as pb

ARTIFACT_DIRECTORY = "artifact"
RECORD_FILE = "provenance.json"
_VERSION_FILE = "version.json"
_STATEMENT_FILE = "statement.json"
_LARGEST_BYTES = 64 << 20  # of one of these texts
_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, ParseError, InvalidInputError)


@dataclass(frozen=True, slots=True)
class Bundle:
    """The content of a bundle; nothing of it is verified."""

    directory: Path
    spec: VersionSpec
    record_json: str
    statement_json: str  # envelope


def write_bundle(directory: Path, version: pb.Version, statement_json: str) -> None:
    """Add the texts of a bundle to a directory that has the artifact."""
    lean = pb.Version()
    lean.CopyFrom(version)
    for name in ("provenance_json", "evidence", "registered_by", "registered_at", "origin"):
        lean.ClearField(name)
    (directory / RECORD_FILE).write_text(version.provenance_json)
    (directory / _VERSION_FILE).write_text(MessageToJson(lean, preserving_proto_field_name=True))
    (directory / _STATEMENT_FILE).write_text(statement_json)


def read_bundle(directory: Path) -> Bundle:
    """Read a bundle.

    Raises:
        InvalidInputError: a part is missing or cannot be read.
    """
    try:
        message = Parse(_text(directory / _VERSION_FILE), pb.Version())
        spec = version_from_wire(message)
    except _UNREADABLE as error:
        read = f"{directory / _VERSION_FILE}: {error}"
        raise InvalidInputError([Fault("bundle", read, "a version's parts, JSON")]) from error
    record, statement = _text(directory / RECORD_FILE), _text(directory / _STATEMENT_FILE)
    return Bundle(directory, spec, record, statement)


def verify_bundle(bundle: Bundle, trusted: TrustedKeys) -> VersionStatement:
    """Verify signature and digests of a bundle, without any registry.

    Raises:
        CheckFailedError: no trusted key signed the statement, or a part is not the one that it names.
        InvalidInputError: the statement has another form.
        NotFoundError: the artifact is missing.
    """
    envelope = envelope_from_json(bundle.statement_json, "bundle")
    statement = statement_from_document(trusted.payload_of(envelope, VERSION_TYPE).decode())
    spec = bundle.spec
    try:
        _, files = describe_artifact(bundle.directory / ARTIFACT_DIRECTORY)
    except NotFoundError as error:
        raise CheckFailedError(f"the bundle has no whole artifact: {error}") from error
    found = {
        "artifact": (artifact_digest(files), spec.artifact_digest),
        "record": (sha256(bundle.record_json.encode()).hexdigest(), spec.provenance_digest),
        "content": (content_digest_of(spec), statement.content_digest),
    }
    for name, (read, signed) in found.items():
        if read != signed:
            raise CheckFailedError(
                f"the {name} of the bundle has digest {read}, signed is {signed}"
            )
    if spec.ref != statement.ref:
        raise CheckFailedError(f"the bundle says {spec.ref}, signed is {statement.ref}")
    return statement


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise InvalidInputError.of("bundle", read=f"{path}, too large", accepted="64 MiB")
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        fault = Fault("bundle", f"{path}: {error}", "a readable file in UTF-8")
        raise InvalidInputError([fault]) from error
