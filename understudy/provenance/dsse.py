"""Signed documents: DSSE envelopes, v1 (https://github.com/secure-systems-lab/dsse)."""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

from understudy.domain.canonical import canonical_json
from understudy.domain.errors import InvalidInputError

IN_TOTO_TYPE = "application/vnd.in-toto+json"
VERSION_TYPE = "application/vnd.understudy.version+json"
AUDIT_HEAD_TYPE = "application/vnd.understudy.audit-head+json"
_ACCEPTED = "a DSSE envelope: payloadType, payload and signatures, in base64"


@dataclass(frozen=True, slots=True)
class Signature:
    key_id: str  # names a key for readers; it proves nothing
    value: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """A payload with signatures over its type and its bytes."""

    payload_type: str
    payload: bytes
    signatures: tuple[Signature, ...]

    @property
    def signed_bytes(self) -> bytes:
        return pre_authentication_encoding(self.payload_type, self.payload)

    @property
    def content(self) -> dict[str, Any]:
        """The envelope as JSON values."""
        return {
            "payloadType": self.payload_type,
            "payload": base64.b64encode(self.payload).decode(),
            "signatures": [
                {"keyid": each.key_id, "sig": base64.b64encode(each.value).decode()}
                for each in self.signatures
            ],
        }

    @property
    def json_line(self) -> str:
        return canonical_json(self.content)


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """Return the bytes that are signed: the type is part of them, so it cannot be exchanged."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def envelope_from_json(text: str, field: str = "envelope") -> Envelope:
    """Return the envelope; its signatures are not verified.

    Raises:
        InvalidInputError: `text` is not an envelope.
    """
    try:
        content = json.loads(text)
        return Envelope(
            payload_type=str(content["payloadType"]),
            payload=base64.b64decode(content["payload"], validate=True),
            signatures=tuple(
                Signature(str(each.get("keyid", "")), base64.b64decode(each["sig"], validate=True))
                for each in content["signatures"]
            ),
        )
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error) as error:
        raise InvalidInputError.of(field, read=text, accepted=_ACCEPTED) from error
