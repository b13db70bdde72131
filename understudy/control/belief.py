"""The state that a router or scorer host has in effect, remembered across its restarts."""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import structlog
from google.protobuf.message import DecodeError

from understudy.control.sealed_state import sealed, unsealed
from understudy.control.wire import snapshot_from_wire, snapshot_to_wire
from understudy.domain.belief import Refusal, WatcherBelief, judge
from understudy.domain.errors import CorruptedError, InvalidInputError
from understudy.domain.snapshots import Snapshot
from understudy.registry.v1 import registry_pb2

_log = structlog.get_logger()


class Belief:
    """Judges received states. For one event loop.

    Args:
        remember_at: file with the last state in effect; None for a process that remembers none. If
            it exists, its state is in effect from the start, also while the registry is away. A
            damaged file is reported in the log and by `file_refused`, and counts as none.
    """

    def __init__(self, remember_at: Path | None = None) -> None:
        self._remember_at = remember_at
        self._message: registry_pb2.Snapshot | None = None  # of the state in effect, if received
        self.snapshot: Snapshot | None = None
        self.file_refused = False  # at the start: it was there and could not be used
        if remember_at is not None:
            self.snapshot, self.file_refused = _read(remember_at)
        self.refusal: Refusal | None = None  # of the latest received state; None if it was accepted
        self.refused_states = 0  # received and refused since the start
        if self.snapshot is not None:
            _log.info(
                "snapshot_remembered",
                lineage=self.snapshot.lineage,
                sequence=self.snapshot.sequence,
            )

    def take(
        self, message: registry_pb2.Snapshot, received: Snapshot | None = None
    ) -> Snapshot | None:
        """Return the state to put into effect, or None if the received one is refused.

        Args:
            message: as a registry sent it.
            received: the same, if it was read before.

        Raises:
            InvalidInputError, ValueError, KeyError: the message is not one that a registry sends.
        """
        received = received or snapshot_from_wire(message)
        judged = judge(self.snapshot, received)
        before = self.refusal
        if isinstance(judged, Refusal):
            self.refusal = judged
            self.refused_states += 1
            if not judged.repeats(before):
                _log.error(
                    "snapshot_refused",
                    reason=judged.reason.value,
                    why=judged.why,
                    lineage=received.lineage,
                    sequence=received.sequence,
                    lineage_in_effect=self.lineage,
                )
            return None
        self.refusal = None
        if before is not None:
            _log.info("snapshot_accepted_again", lineage=judged.lineage, sequence=judged.sequence)
        self.snapshot, self._message = judged, message if judged is received else None
        return judged

    @property
    def report(self) -> WatcherBelief:
        """The belief as the registry is told."""
        return WatcherBelief(self.lineage, self.refusal)

    @property
    def lineage(self) -> str | None:
        """Lineage of the state in effect; None before the first one."""
        return None if self.snapshot is None else self.snapshot.lineage

    def remember(self, acting: Snapshot) -> None:
        """Keep `acting`, which was applied, for the next start of this process."""
        if self._remember_at is None:
            return
        message = self._message if acting is self.snapshot else None
        if message is None:  # not as received: parts of an earlier state act
            message = snapshot_to_wire(acting)
        _write(self._remember_at, sealed(message.SerializeToString()))


async def keep_remembered(
    belief: Belief, changed: asyncio.Event, in_effect: Callable[[], Snapshot]
) -> None:
    """Keep on disk what is in effect, until cancelled; in a thread, since a disk may hang and calls must not.

    Args:
        belief: of this process.
        changed: set when something else is in effect; cleared here.
        in_effect: returns the latest state, which is the one that is kept.
    """
    while True:
        await changed.wait()
        changed.clear()
        await asyncio.to_thread(belief.remember, in_effect())


def _read(path: Path) -> tuple[Snapshot | None, bool]:
    """Return the remembered state, if it can be used, and whether there is a file that cannot."""
    try:
        content = unsealed(path.read_bytes())
        return snapshot_from_wire(registry_pb2.Snapshot.FromString(content)), False
    except FileNotFoundError:
        return None, False
    except CorruptedError as error:
        _log.error("remembered_snapshot_refused", path=str(path), why=str(error))
    except (OSError, DecodeError, InvalidInputError, ValueError, KeyError):
        _log.exception("remembered_snapshot_refused", path=str(path))
    return None, True


def _write(path: Path, content: bytes) -> None:
    scratch = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        scratch.write_bytes(content)
        scratch.replace(path)
    except OSError:
        # Storing the snapshot helps the next start; a failure must not stop this process.
        _log.exception("snapshot_not_remembered", path=str(path))
        with suppress(OSError):  # each start has another name, and a full disk no room for them
            scratch.unlink(missing_ok=True)
