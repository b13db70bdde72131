"""Orphans: workers whose supervising process was killed. They serve on until a new one's workers do.

Locks in the state directory tell who runs; the kernel releases those of a process that dies. A
supervising process holds `supervisor.lock`, each worker shares `workers.lock`. If the first one is
free and the second one is held, the workers are orphans, and their port may be shared.
"""

import asyncio
import fcntl
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from router.settings import RouterSettings
from understudy.domain.errors import RefusedError
from understudy.runtime.supervision.probe import Probe, ProbeAnswer

_ASK_EVERY_S = 1.0
_ASK_LIMIT_S = 2.0
_log = structlog.get_logger()


@contextmanager
def supervising(state_dir: Path) -> Iterator[bool]:
    """Supervise the workers of `state_dir` while the block runs; yield whether it has orphans.

    Raises:
        RefusedError: another process supervises them.
    """
    with _opened(state_dir / "supervisor.lock") as own, _opened(_workers_lock(state_dir)) as shared:
        if not _is_free(own, fcntl.LOCK_EX):
            raise RefusedError(f"another router uses the state directory {state_dir}")
        has_orphans = not _is_free(shared, fcntl.LOCK_EX)
        if not has_orphans:
            fcntl.flock(shared, fcntl.LOCK_UN)  # for the workers
        yield has_orphans


@contextmanager
def working(state_dir: Path) -> Iterator[None]:
    """Count as a worker of `state_dir` while the block runs."""
    with _opened(_workers_lock(state_dir)) as shared:
        fcntl.flock(shared, fcntl.LOCK_SH)
        yield


async def serve_on(settings: RouterSettings) -> None:
    """Let this process serve until the workers of a new supervising process do; then stop it.

    It is stopped after `settings.workers_outlive_s` in any case.
    """
    _log.error("supervisor_lost", serving_on_s=settings.workers_outlive_s)
    successor = Probe(settings.supervisor_address)
    why = "its time is over"
    try:
        async with asyncio.timeout(settings.workers_outlive_s):
            while await successor.ask(_ASK_LIMIT_S) is not ProbeAnswer.SERVING:  # noqa: ASYNC110 - of another process
                await asyncio.sleep(_ASK_EVERY_S)
            why = "other workers serve"
    except TimeoutError:
        pass
    _log.info("orphan_ends", why=why)
    os.kill(os.getpid(), signal.SIGTERM)  # a stop like any other, with its limits


def _workers_lock(state_dir: Path) -> Path:
    return state_dir / "workers.lock"


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _is_free(descriptor: int, kind: int) -> bool:
    """Take the lock if no other process holds it; return whether it was free."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
