"""gRPC over HTTP/2, in pure functions: frames, compression, timeouts, text in headers.

The specification: PROTOCOL-HTTP2.md of grpc/grpc. A peer's fault is a value, `Refusal`, with the
status that gRPC's table of statuses gives it.
"""

import base64
import binascii
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote

import grpc

HEADER_BYTES = 5  # of a frame: a flag, and the length of the message
IDENTITY = b"identity"
_COMPRESSED = 1
_GZIP_OR_ZLIB = {b"gzip": 16 + zlib.MAX_WBITS, b"deflate": zlib.MAX_WBITS}  # window bits of zlib
ACCEPTED_ENCODINGS = b",".join((IDENTITY, *_GZIP_OR_ZLIB))
_MOST_DIGITS = 8  # of a timeout
_UNIT_S = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_SAFE_IN_MESSAGES = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")
_KEY = re.compile(rb"[0-9a-z_.-]+")
_TEXT = re.compile(rb"[\x20-\x7e]*")
_BINARY = b"-bin"


@dataclass(frozen=True, slots=True)
class Refusal:
    """The status of a call that breaks the protocol or its bounds."""

    code: grpc.StatusCode
    why: str


@dataclass(frozen=True, slots=True)
class Packed:
    """A compressed message. It is unpacked when it is its turn: a thousandth of its size may hold it."""

    content: bytes


@dataclass(frozen=True, slots=True)
class Split:
    """The whole messages at the front of what was received, and the rest."""

    messages: tuple[bytes | Packed, ...]
    rest: bytes
    needed_bytes: (
        int  # length of the rest at which its first frame, or that frame's header, is whole
    )


def frame(message: bytes) -> bytes:
    """Return one message, not compressed, with its header."""
    return b"\x00" + len(message).to_bytes(4) + message


def joined_frames(messages: Iterable[bytes]) -> bytes:
    """Return the frames of several messages in one piece."""
    parts: list[bytes] = []
    for message in messages:
        parts += (b"\x00", len(message).to_bytes(4), message)
    return b"".join(parts)


def only_message(body: bytes) -> bytes | None:
    """Return the message of a body that is exactly one frame without compression, else None."""
    if len(body) >= HEADER_BYTES and not body[0] and int.from_bytes(body[1:5]) == len(body) - 5:
        return body[HEADER_BYTES:]
    return None


def split_frames(received: bytes, *, most_bytes: int) -> Split | Refusal:
    """Return the messages in `received`, which starts at the header of a frame.

    Args:
        received: bytes of a body.
        most_bytes: of a message, compressed or not.
    """
    messages: list[bytes | Packed] = []
    at = 0
    while len(received) - at >= HEADER_BYTES:
        flag, size = received[at], int.from_bytes(received[at + 1 : at + HEADER_BYTES])
        if size > most_bytes:
            return too_large(f"{size} bytes", most_bytes)
        end = at + HEADER_BYTES + size
        if len(received) < end and flag <= _COMPRESSED:
            return Split(tuple(messages), received[at:], HEADER_BYTES + size)
        if flag > _COMPRESSED:
            why = f"flag of a frame: read {flag}; accepted: 0, or 1 for compressed"
            return Refusal(grpc.StatusCode.INTERNAL, why)
        content = received[at + HEADER_BYTES : end]
        messages.append(Packed(content) if flag else content)
        at = end
    return Split(tuple(messages), received[at:], HEADER_BYTES)


def unpacked(message: Packed, encoding: bytes, *, most_bytes: int) -> bytes | Refusal:
    """Return a compressed message as its sender had it; `encoding` is the call's `grpc-encoding`."""
    if encoding not in _GZIP_OR_ZLIB:
        why = "a frame is marked as compressed, and grpc-encoding names no compression"
        return Refusal(grpc.StatusCode.INTERNAL, why)
    return _inflated(message.content, encoding, most_bytes)


def refusal_of_rest(rest: bytes) -> Refusal | None:
    """Return the fault of a body that ends with `rest` after its last whole frame."""
    if not rest:
        return None
    return Refusal(grpc.StatusCode.INTERNAL, f"the body ends after {len(rest)} bytes of a frame")


def too_large(size: str, most_bytes: int) -> Refusal:
    """Return the refusal of a message above the limit."""
    why = f"message: read {size}; accepted: at most {most_bytes} bytes"
    return Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, why)


def is_known_encoding(encoding: bytes) -> bool:
    return encoding == IDENTITY or encoding in _GZIP_OR_ZLIB


def timeout_s(header: bytes) -> float | None:
    """Return the seconds of a `grpc-timeout`; None if the header is malformed."""
    # On the way of each call: half the time of a regular expression.
    digits, unit = header[:-1], _UNIT_S.get(header[-1:])
    if unit is None or not digits.isdigit() or len(digits) > _MOST_DIGITS:
        return None
    return int(digits) * unit


def encoded_message(text: str) -> bytes:
    """Return `text` as the value of `grpc-message`: UTF-8, percent-encoded."""
    if text.isascii() and text.isprintable() and "%" not in text:
        return text.encode()
    return quote(text, safe=_SAFE_IN_MESSAGES, errors="replace").encode()


def encoded_metadata(key: str, value: str | bytes) -> tuple[bytes, bytes]:
    """Return metadata as a header.

    Raises:
        ValueError: gRPC permits no such key, or no such value under this key.
    """
    name = key.encode()
    raw = value.encode() if isinstance(value, str) else bytes(value)
    if name.endswith(_BINARY):
        raw = base64.b64encode(raw).rstrip(b"=")
    if not _KEY.fullmatch(name):
        raise ValueError(f"metadata key: read {key!r}; accepted: lower-case letters, digits, _ . -")
    if not _TEXT.fullmatch(raw):
        raise ValueError(f"metadata {key}: read {value!r}; accepted: printable ASCII")
    return name, raw


def decoded_metadata(name: bytes, value: bytes) -> tuple[str, str | bytes] | None:
    """Return a header as metadata; None for one that is no valid metadata."""
    try:
        key = name.decode("ascii")
        if not name.endswith(_BINARY):
            return key, value.decode("ascii")
        unpadded = value.rstrip(b"=")
        return key, base64.b64decode(unpadded + b"=" * (-len(unpadded) % 4), validate=True)
    except (UnicodeDecodeError, binascii.Error):
        return None


def _inflated(content: bytes, encoding: bytes, most_bytes: int) -> bytes | Refusal:
    """Return the content of a compressed message, without unpacking more than the limit."""
    inflate = zlib.decompressobj(_GZIP_OR_ZLIB[encoding])
    try:
        message = inflate.decompress(content, most_bytes + 1)
    except zlib.error:
        why = f"message: read {len(content)} bytes; accepted: {encoding.decode()}"
        return Refusal(grpc.StatusCode.INTERNAL, why)
    if len(message) > most_bytes:
        return too_large(f"more than {most_bytes} bytes after decompression", most_bytes)
    if not inflate.eof or inflate.unused_data:
        why = f"message: {encoding.decode()} data that ends early, or with bytes after its end"
        return Refusal(grpc.StatusCode.INTERNAL, why)
    return message
