"""The origins of imported versions: signed statements of other registries, and the keys that are trusted."""

from dataclasses import dataclass

from registry.decisions.version_statement import (
    VersionStatement,
    statement_from_document,
)
from understudy.control.wire_values import ref_to_wire, timestamp
from understudy.domain.errors import (
    CheckFailedError,
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


def origin_to_wire(origin: VersionStatement) -> pb.VersionOrigin:
    return pb.VersionOrigin(
        lineage=origin.lineage,
        ref=ref_to_wire(origin.ref),
        registered_by=origin.actor,
        registered_at=timestamp(origin.at_ns),
    )
