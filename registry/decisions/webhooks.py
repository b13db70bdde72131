"""Webhooks: the message of each recorded event, its signature, and the pause after a failure. Pure.

The form is that of Standard Webhooks: https://www.standardwebhooks.com
"""

import base64
import binascii
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

from registry.decisions.audit_chain import RecordedRow
from registry.decisions.refusals import RefusalRow
from understudy.domain.errors import InvalidInputError
from understudy.domain.loopback import is_loopback

_KEY_PREFIX = "whsec_"
_KEY_BYTES = range(24, 65)
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 300.0
_DIGITS_OF_ID = 32


@dataclass(frozen=True, slots=True)
class Target:
    """The receiver of webhooks."""

    scheme: str  # https, or http on this machine
    host: str
    port: int
    path: str  # with the query

    @property
    def is_tls(self) -> bool:
        return self.scheme == "https"


@dataclass(frozen=True, slots=True)
class Message:
    """An event as it is sent; each attempt sends the same one."""

    id: str  # the same for the same row of the same history, so that receivers know repeats
    body: bytes  # JSON


def target_of(url: str) -> Target:
    """Return the receiver at `url`.

    Raises:
        InvalidInputError: it is no URL, has a user, or other machines could read along.
    """
    accepted = "https://HOST[:PORT]/PATH, or http:// with a loopback address; no user, no fragment"
    try:
        parts = urlsplit(url)
        port = parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0)
    except ValueError as error:
        raise InvalidInputError.of("webhook_url", read=url, accepted=accepted) from error
    host = parts.hostname or ""
    is_private = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    is_plain = url.isascii() and url.isprintable() and " " not in url
    if not host or not is_private or not is_plain or "@" in parts.netloc or parts.fragment:
        raise InvalidInputError.of("webhook_url", read=url, accepted=accepted)
    path = parts.path or "/"
    return Target(parts.scheme, host, port, f"{path}?{parts.query}" if parts.query else path)


def keys_of(text: str) -> tuple[bytes, ...]:
    """Return the keys in a text of one `whsec_` and base64 a line; several for a rotation.

    Raises:
        InvalidInputError: a line has another form; the text of the error has no key.
    """
    keys = []
    for number, line in enumerate(text.split(), start=1):
        try:
            key = base64.b64decode(line.removeprefix(_KEY_PREFIX), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if not line.startswith(_KEY_PREFIX) or len(key) not in _KEY_BYTES:
            accepted = f"{_KEY_PREFIX} and the base64 of 24 to 64 bytes"
            raise InvalidInputError.of("webhook_key", read=f"line {number}", accepted=accepted)
        keys.append(key)
    return tuple(keys)


def message_of_change(recorded: RecordedRow) -> Message:
    """Return the message of a row of the audit log."""
    row = recorded.row
    content = {
        "sequence": row.sequence,
        "digest": recorded.digest,
        "actor": row.actor,
        "proof": row.proof,
        "peer": row.peer,
        "on_behalf_of": row.on_behalf_of,
        "action": row.action,
        "model": row.model,
        "reason": row.reason,
        "from_revision": row.from_revision,
        "to_revision": row.to_revision,
        "details": json.loads(row.details_json),
    }
    return Message(
        f"audit-{row.sequence}-{recorded.digest[:_DIGITS_OF_ID]}",
        _body(f"registry.{row.action}", row.at_ns, content),
    )


def message_of_refusals(row: RefusalRow) -> Message:
    """Return the message of the refused attempts of one kind in one minute."""
    content = asdict(row) | {"digest": row.digest}
    del content["previous_digest"], content["minute_ns"]
    return Message(
        f"refusals-{row.sequence}-{row.digest[:_DIGITS_OF_ID]}",
        _body("registry.refused_attempts", row.minute_ns, content),
    )


def headers_of(message: Message, keys: Sequence[bytes], now: datetime) -> Mapping[str, str]:
    """Return the headers of an attempt at a time: id, time, and a signature by each key."""
    sent_s = str(int(now.timestamp()))
    signed = b".".join((message.id.encode(), sent_s.encode(), message.body))
    signatures = [base64.b64encode(hmac.digest(key, signed, sha256)).decode() for key in keys]
    return {
        "webhook-id": message.id,
        "webhook-timestamp": sent_s,
        "webhook-signature": " ".join(f"v1,{each}" for each in signatures),
    }


def pause_after_s(failures: int, chance: float) -> float:
    """Return the time until the next attempt after a number of failures in a row.

    `chance`: 0 to 1, by which registries of one receiver do not return together.
    """
    longest = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(failures - 1, 30))
    return longest * (0.5 + chance / 2)


def _body(kind: str, at_ns: int, content: Mapping[str, Any]) -> bytes:
    at = datetime.fromtimestamp(at_ns // 1_000_000_000, UTC).isoformat().replace("+00:00", "Z")
    return json.dumps({"type": kind, "timestamp": at, "data": content}).encode()
