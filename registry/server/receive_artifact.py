"""Reception of an artifact's files from a stream of chunks, bounded and hashed on arrival."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from registry.decisions.upload_pace import PaceLimits, UploadPace
from registry.store.artifacts import Staging
from understudy.domain.errors import DeadlinePassedError, Fault, InvalidInputError
from understudy.domain.versions import ArtifactFile


@dataclass(frozen=True, slots=True)
class UploadLimits:
    max_bytes: int
    max_files: int
    pace: PaceLimits
    total_s: float  # for the whole stream


class UploadPart(Protocol):
    """A message of an upload."""

    @property
    def chunk(self) -> bytes:
        """Bytes of the files; empty for a message without any."""
        ...


PartT = TypeVar("PartT", bound=UploadPart)


class RunBlocking(Protocol):
    def __call__(self, work: Callable[[], Any], /) -> Awaitable[Any]: ...


async def receive_files(
    announced: Sequence[ArtifactFile],
    parts: "PacedParts[Any]",
    staging: Staging,
    run: RunBlocking,
    limits: UploadLimits,
) -> tuple[ArtifactFile, ...]:
    """Write the announced files into `staging` and return them with their actual digests.

    Raises:
        InvalidInputError: the limits are exceeded, or the number of bytes differs from the announced.
        DeadlinePassedError: the sender was too slow, or took too long.
        UnavailableError: the disk is full.
    """
    _check_announced(announced, limits)
    chunks = _Chunks(parts)
    async with within(limits.total_s, "the end of the upload"):
        received = [await _receive_file(file, chunks, staging, run) for file in announced]
        if await chunks.take(1):
            raise InvalidInputError.of("chunk", read="bytes after the last file", accepted="none")
    return tuple(received)


class PacedParts(Generic[PartT]):
    """The parts of a stream whose sender must keep up a pace."""

    def __init__(self, parts: AsyncIterator[PartT], limits: PaceLimits) -> None:
        self._parts = parts
        self._pace = UploadPace(limits)

    async def next_part(self) -> PartT | None:
        """Return the next part; None at the end of the stream.

        Raises:
            DeadlinePassedError: the sender is too slow to keep its seat.
        """
        now_s = asyncio.get_running_loop().time
        from_s = now_s()
        limits = self._pace.limits
        stage = f"{limits.period_bytes} bytes of the upload in {limits.period_s:g} s"
        async with within(self._pace.left_s, stage):
            part = await anext(self._parts, None)
        size_bytes = 0 if part is None else len(part.chunk)
        self._pace = self._pace.after(waited_s=now_s() - from_s, received_bytes=size_bytes)
        return part


@asynccontextmanager
async def within(limit_s: float, stage: str) -> AsyncIterator[None]:
    """Limit the time of the block.

    Raises:
        DeadlinePassedError: it took longer.
    """
    try:
        async with asyncio.timeout(limit_s):
            yield
    except TimeoutError as error:
        raise DeadlinePassedError(stage) from error


async def _receive_file(
    file: ArtifactFile, chunks: "_Chunks", staging: Staging, run: RunBlocking
) -> ArtifactFile:
    target = await run(lambda: staging.open_file(file.path))
    missing_bytes = file.size_bytes
    while missing_bytes and (piece := await chunks.take(missing_bytes)):
        await run(partial(target.write, piece))
        missing_bytes -= len(piece)
    closed: ArtifactFile = await run(target.close)
    if missing_bytes:
        raise InvalidInputError.of(
            f"files[{file.path}].size_bytes",
            read=closed.size_bytes,
            accepted=f"{file.size_bytes} bytes, as announced",
        )
    return closed


class _Chunks:
    """The bytes of the stream, in pieces of limited length."""

    def __init__(self, parts: PacedParts[Any]) -> None:
        self._parts = parts
        self._left = memoryview(b"")

    async def take(self, most_bytes: int) -> bytes:
        """Return the next bytes, at most `most_bytes`; empty at the end of the stream."""
        while not self._left:
            part = await self._parts.next_part()
            if part is None:
                return b""
            self._left = memoryview(part.chunk)
        piece, self._left = self._left[:most_bytes], self._left[most_bytes:]
        return bytes(piece)


def _check_announced(announced: Sequence[ArtifactFile], limits: UploadLimits) -> None:
    total_bytes = sum(file.size_bytes for file in announced)
    if total_bytes > limits.max_bytes:
        fault = Fault("files", f"{total_bytes} bytes", f"at most {limits.max_bytes}")
        raise InvalidInputError([fault])
