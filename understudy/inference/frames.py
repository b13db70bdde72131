"""Frames: messages of the inference protocol over a socket of one machine, without gRPC.

Each side begins with a greeting, then sends frames: the length of a message in four bytes, then the
message. The scorer's first frame is the digest of the artifact that its process loaded; those after it are
answers (ModelStreamInferResponse), in any order, each with the id of its request (ModelInferRequest). An
empty frame is the scorer's last: it has answered every request that it has read.
"""

from pathlib import Path
from struct import Struct

from understudy.domain.errors import CorruptedError

VERSION = 1
GREETING = b"frames" + VERSION.to_bytes(2, "big")
LAST_FRAME = bytes(4)

# The property of ModelMetadataResponse by which a scorer says that it also serves frames: their version.
FRAMES_PROPERTY = "frames"

_LENGTH = Struct("!I")
_SUFFIX = ".sock"


def frames_path(socket: Path) -> Path:
    """Return the socket of the frames of a scorer, beside its socket for gRPC."""
    return socket.with_name(f"{socket.name.removesuffix(_SUFFIX)}.frames{_SUFFIX}")


def frame(*parts: bytes) -> bytes:
    """Return the frame of a message, which may come in parts."""
    return b"".join((_LENGTH.pack(sum(map(len, parts))), *parts))


class FrameReader:
    """Finds the greeting and the frames in bytes that arrive in any pieces."""

    def __init__(self, largest_bytes: int) -> None:
        """`largest_bytes`: of a message; a longer one is refused by its length."""
        self._largest_bytes = largest_bytes
        self._held: bytes | bytearray = b""
        self._at = 0  # the first byte that is not taken yet
        self._is_greeted = False

    @property
    def has_more(self) -> bool:
        """True if bytes are left; they may be a part of a frame."""
        return bool(self._held)

    def feed(self, received: bytes) -> None:
        if not self._held:
            self._held = received  # mostly whole frames, which are not copied a second time
            return
        if isinstance(self._held, bytes):
            self._held = bytearray(self._held)
        del self._held[: self._at]
        self._at = 0
        self._held += received

    def next_message(self) -> bytes | None:
        """Return the message of the next frame; None if it has not wholly arrived.

        Raises:
            CorruptedError: the other side does not greet as we do, or the frame is too long. The
                reader cannot go on.
        """
        if not self._is_greeted and not self._take_greeting():
            return None
        begins = self._at + _LENGTH.size
        if len(self._held) < begins:
            return None
        (message_bytes,) = _LENGTH.unpack_from(self._held, self._at)
        if message_bytes > self._largest_bytes:
            raise CorruptedError(
                f"frame: read a length of {message_bytes} bytes; accepted: at most {self._largest_bytes}"
            )
        ends = begins + message_bytes
        if len(self._held) < ends:
            return None
        message = bytes(memoryview(self._held)[begins:ends])
        self._take(ends)
        return message

    def _take_greeting(self) -> bool:
        greeting = bytes(self._held[: len(GREETING)])
        if not GREETING.startswith(greeting):
            raise CorruptedError(f"frames: read the greeting {greeting!r}; accepted: {GREETING!r}")
        if len(greeting) == len(GREETING):
            self._is_greeted = True
            self._take(len(GREETING))
        return self._is_greeted

    def _take(self, end: int) -> None:
        if end == len(self._held):
            self._held, self._at = b"", 0
        else:
            self._at = end
