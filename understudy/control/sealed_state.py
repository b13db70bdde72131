"""The content of a file that outlives its process: length and digest before the bytes.

A disk that was full, a power failure or a failing medium leaves a file that is cut, or differs in a
bit. A cut between two fields of a protobuf message, or a flipped bit of a number, leaves a message
that parses and states something else.
"""

from hashlib import sha256
from struct import Struct

from understudy.domain.errors import CorruptedError

_KIND = b"understudy state"
_HEAD = Struct(f"<{len(_KIND)}sQ{sha256().digest_size}s")  # kind, length, digest


def sealed(content: bytes) -> bytes:
    """Return the bytes of a file with `content`."""
    return _HEAD.pack(_KIND, len(content), sha256(content).digest()) + content


def unsealed(file: bytes) -> bytes:
    """Return the content of a file that `sealed` gave.

    Raises:
        CorruptedError: it is cut, longer, changed, or was not written by `sealed`.
    """
    if len(file) < _HEAD.size:
        raise CorruptedError(f"it has {len(file)} bytes, and its head has {_HEAD.size}")
    kind, length, digest = _HEAD.unpack_from(file)
    content = file[_HEAD.size :]
    if kind != _KIND:
        raise CorruptedError("its head is not that of a remembered state")
    if length != len(content):
        raise CorruptedError(
            f"it has {len(content)} bytes of content, and was written with {length}"
        )
    if digest != sha256(content).digest():
        raise CorruptedError(f"its {length} bytes do not match their digest")
    return content
