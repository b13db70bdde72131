"""The origins of imported versions: signed statements of other registries, and the keys that are trusted."""

import json
from dataclasses import dataclass

from sqlalchemy import Connection

from registry.decisions.version_statement import (
    VersionStatement,
    statement_from_content,
    statement_from_document,
)
from registry.store import audit_log
from registry.store.versions import StoredVersion
from understudy.control.wire_values import ref_to_wire, timestamp
from understudy.domain.errors import (
    CheckFailedError,
    CorruptedError,
    InvalidInputError,
    RefusedError,
)
from understudy.provenance.dsse import VERSION_TYPE, envelope_from_json
from understudy.provenance.signing_keys import TrustedKeys
from understudy.registry.v1 import registry_pb2 as pb


@dataclass(frozen=True, slots=True)
class Origins:
    """The registries from which versions may be imported."""

    trusted: TrustedKeys | None  # None: no version may be imported

    def verified(self, envelope_json: str) -> VersionStatement:
        """Return the statement in an envelope that a trusted registry signed.

        Raises:
            InvalidInputError: it is no envelope, or no statement about a version.
            RefusedError: no trusted key signed it.
        """
        envelope = envelope_from_json(envelope_json, "origin_json")
        if self.trusted is None:
            raise RefusedError(
                "this registry imports no versions: REGISTRY_TRUSTED_ORIGINS names no keys"
            )
        try:
            payload = self.trusted.payload_of(envelope, VERSION_TYPE)
        except CheckFailedError as error:
            raise RefusedError(f"the origin is not trusted: {error}") from error
        try:
            return statement_from_document(payload.decode())
        except UnicodeDecodeError as error:
            raise InvalidInputError.of(
                "origin_json", read="bytes that are no text", accepted="UTF-8"
            ) from error


def origin_of(connection: Connection, stored: StoredVersion) -> VersionStatement | None:
    """Return the origin of a version, from the row that records its registration; None if it is here.

    Raises:
        CorruptedError: the row is not one that a registry wrote.
    """
    ref = stored.spec.ref
    for row in audit_log.registrations_at(connection, ref.model, stored.registered_at_ns):
        try:
            details = json.loads(row.details_json)
            if details["version"] == str(ref):
                given = details.get("origin")
                return None if given is None else statement_from_content(given)
        except (ValueError, KeyError, TypeError, AttributeError, InvalidInputError) as error:
            raise CorruptedError(f"row {row.sequence} of the audit log cannot be read") from error
    return None


def origin_to_wire(origin: VersionStatement) -> pb.VersionOrigin:
    return pb.VersionOrigin(
        lineage=origin.lineage,
        ref=ref_to_wire(origin.ref),
        registered_by=origin.actor,
        registered_at=timestamp(origin.at_ns),
    )
