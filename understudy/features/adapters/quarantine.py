"""The search for ids whose records end a reader, while other ids are read."""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Final

from understudy.domain.errors import UnavailableError
from understudy.domain.logged_ids import LoggedIds
from understudy.features.adapters.prober import Prober
from understudy.features.adapters.store_log import StoreLog
from understudy.features.adapters.withheld_ids import Suspect, WithheldIds, suspects_in
from understudy.features.ports import ViewRead
from understudy.runtime.unless_stopped import unless_stopped

AGAIN_AFTER_S: Final = 30.0  # then one id put aside is tried, the one that waits longest
_LATER_S = 1.0  # if the store was away while ids were probed


class Quarantine:
    """Withholds all ids of the reads that were pending when a reader ended, until they are judged.

    Each is read by a probe, a process of its own. Those that end it are put aside: they are not
    read, and reported in the log. From time to time one of them is tried again.
    """

    def __init__(
        self,
        url: str,
        prober: Prober,
        log: StoreLog,
        *,
        ids: LoggedIds | None,
        again_after_s: float,
    ) -> None:
        """`ids` is the rule by which `log` contains ids; None if it contains none."""
        self.withheld = WithheldIds()
        self._url = url
        self._prober = prober
        self._log = log
        self._ids = ids
        self._again_after_s = again_after_s
        self._has_suspects = asyncio.Event()

    def suspect(self, pending: Iterable[Sequence[ViewRead]]) -> None:
        """Withhold the ids of `pending` reads."""
        for reads in pending:
            self.withheld.suspect(suspects_in(reads))
        self._has_suspects.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Judge suspects until `stop` is set."""
        while not stop.is_set():
            suspects = self.withheld.suspects()
            if not suspects:
                await unless_stopped(stop, self._until_suspects())
                suspects = self.withheld.suspects() or self.withheld.longest_aside()
            try:
                guilty = await unless_stopped(stop, self._prober.guilty_among(suspects))
            except (UnavailableError, OSError):
                await unless_stopped(stop, asyncio.sleep(_LATER_S))
                continue
            if guilty is not None:
                self._judge(suspects, guilty)

    async def _until_suspects(self) -> None:
        """Return when there are suspects, or when an id put aside is due."""
        self._has_suspects.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._again_after_s):
                await self._has_suspects.wait()

    def _judge(self, suspects: Sequence[Suspect], guilty: Sequence[Suspect]) -> None:
        before = self.withheld.put_aside()
        self.withheld.judge(suspects, guilty)
        after = self.withheld.put_aside()
        for view, entity_id in sorted(after - before):
            self._log.error("entity_put_aside", **self._facts(view, entity_id))
        for view, entity_id in sorted(before - after):
            self._log.info("entity_read_again", **self._facts(view, entity_id))

    def _facts(self, view: str, entity_id: str) -> dict[str, object]:
        # An operator who must mend the record reads its id in the router's status.
        facts: dict[str, object] = {"store": self._url, "view": view}
        if self._ids is None:
            return facts
        (logged_as,) = self._ids.written([entity_id])
        return {**facts, "logged_as": logged_as, "log_key_id": self._ids.key_id or None}
