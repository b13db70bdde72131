"""Anchors: the signed head of the log is handed to other places on a schedule."""

import asyncio
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from registry.server.proofs import Proofs
from understudy.domain.errors import UnavailableError

_COMMAND_S = 60.0  # limit on a command

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class AnchorPlaces:
    """The places; a head that a place does not take is offered again with the next one."""

    every_s: float
    file: Path | None  # receives a line for each head
    command: tuple[str, ...]  # reads the head on its standard input; empty for none


@dataclass(slots=True, eq=False)
class Anchors:
    """Hands over the head when rows were added since the last one. For one event loop."""

    proofs: Proofs
    places: AnchorPlaces
    _anchored: tuple[int, int] | None = None  # last rows of the chains in the last head

    async def keep_anchored(self) -> None:
        """Anchor the head at once and then on schedule, without end."""
        while True:
            try:
                await self.anchor()
            except (OSError, UnavailableError, TimeoutError) as error:
                _log.error("audit_head_not_anchored", error=str(error))
            await asyncio.sleep(self.places.every_s)

    async def anchor(self) -> None:
        """Hand the present head to all places, unless they have it.

        Raises:
            OSError, UnavailableError, TimeoutError: the database or a place fails.
        """
        head = await self.proofs.live.run(self.proofs.read_head)
        line = self.proofs.signed(head)
        rows = head.sequence, head.refusals
        if line is None or rows == self._anchored:
            return
        file = self.places.file
        if file is not None:
            await self.proofs.live.run(lambda: _append(file, line))
        if self.places.command:
            await _run(self.places.command, line)
        self._anchored = rows
        _log.info("audit_head_anchored", sequence=head.sequence, refusals=head.refusals)


def _append(path: Path, line: str) -> None:
    with path.open("a") as file:
        file.write(f"{line}\n")
        file.flush()
        os.fsync(file.fileno())


async def _run(command: tuple[str, ...], line: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(_COMMAND_S):
            await process.communicate(f"{line}\n".encode())
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode:
        raise UnavailableError(f"command {command[0]}", f"it ended with {process.returncode}")
