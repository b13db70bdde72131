"""The record of refused attempts: counted in memory, written once a minute."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from sqlalchemy import Engine

from registry.decisions.refusals import Attempt, Attempts
from registry.server.callers import Context, name_of
from registry.server.live_state import LiveState
from registry.store import refusals
from registry.store.database import writing
from understudy.domain.errors import FailureKind, UnavailableError, failure_kind_of
from understudy.domain.instants import unix_ns
from understudy.runtime.rpc_boundary import peer_of

_PAUSE_S = 60.0
_RECORDED = frozenset(
    {FailureKind.UNAUTHENTICATED, FailureKind.PERMISSION_REFUSED, FailureKind.REFUSED}
)

_log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class RefusalBook:
    """Counts refused attempts. For one event loop."""

    live: LiveState
    engine: Engine
    now: Callable[[], datetime]  # UTC
    believes: bool  # names are claims, and recorded as such
    _attempts: Attempts = field(default_factory=Attempts)

    def __call__(self, context: Context, call: str, error: Exception) -> None:
        """Count a failed call if it was refused; nothing of its request is kept."""
        kind = failure_kind_of(error)
        if kind in _RECORDED:
            name = name_of(context, believes=self.believes)
            attempt = Attempt(name, peer_of(context), call, kind.value)
            now_ns = unix_ns(self.now())
            self._attempts = self._attempts.with_one(attempt, now_ns)

    async def keep_written(self) -> None:
        """Write the counts once a minute, without end."""
        while True:
            await asyncio.sleep(_PAUSE_S)
            await self.write()

    async def write(self) -> None:
        """Write the counts; those that the database does not take are kept for the next time."""
        taken, self._attempts = self._attempts, Attempts()
        if not taken.counts:
            return
        try:
            rows = await self.live.run(lambda: self._append(taken))
        except UnavailableError:
            _log.exception("refusals_not_written", kinds=len(taken.counts))
            self._attempts = taken.joined(self._attempts).cut()
        else:
            _log.warning("attempts_refused", kinds=rows, attempts=sum(taken.counts.values()))

    def _append(self, taken: Attempts) -> int:
        with writing(self.engine) as connection:
            return refusals.append(connection, taken)
