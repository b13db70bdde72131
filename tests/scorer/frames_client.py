"""A client of frames for tests, which sends any bytes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from understudy.inference.frames import GREETING, FrameReader, frame
from understudy.oip import inference_pb2 as pb
from understudy.runtime.front.grpc_server import MAX_MESSAGE_BYTES


class FramesClient:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._frames = FrameReader(MAX_MESSAGE_BYTES)

    def send(self, *requests: Any) -> None:
        """Send requests, or bytes that need not be one, each in a frame."""
        for each in requests:
            self.writer.write(frame(each if isinstance(each, bytes) else each.SerializeToString()))

    async def message(self) -> bytes | None:
        """Return the next message; None at the end of the connection."""
        while (message := self._frames.next_message()) is None:
            if not (received := await self.reader.read(1 << 16)):
                return None
            self._frames.feed(received)
        return message

    async def answer(self) -> pb.ModelStreamInferResponse:
        message = await self.message()
        assert message, "it has ended"
        return pb.ModelStreamInferResponse.FromString(message)

    async def ended(self) -> None:
        """Return at the end of the connection, whatever comes before it."""
        try:
            while await self.reader.read(1 << 16):
                pass
        except ConnectionError:
            pass


@asynccontextmanager
async def frames_client(path: Path, *, begin: bytes = GREETING) -> AsyncIterator[FramesClient]:
    """Connect, and greet with `begin`."""
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        writer.write(begin)
        yield FramesClient(reader, writer)
    finally:
        writer.close()
