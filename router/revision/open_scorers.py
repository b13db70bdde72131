"""The scorers that a router has open, each with its breaker, shared by all its models."""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import partial

from router.decisions.breaker import BreakerPolicy
from router.lanes.guarded_scorer import GuardedScorer
from router.ports import ClosableScorer


class OpenScorers:
    """Opens a scorer on first use of its address, and closes it when nothing uses it any more."""

    def __init__(
        self,
        open_scorer: Callable[[str], ClosableScorer],
        breaker: BreakerPolicy,
        *,
        gone_after_s: float,
        turned: Callable[[], None],
        exchanged: Callable[[str], None],
    ) -> None:
        """`turned` is called when a breaker has opened or closed, `exchanged` with the address at which
        a process of another artifact was found.
        """
        self._open_scorer = open_scorer
        self._breaker = breaker
        self._gone_after_s = gone_after_s
        self._turned = turned
        self._exchanged = exchanged
        self._open: dict[str, tuple[ClosableScorer, GuardedScorer]] = {}

    def at(self, address: str) -> GuardedScorer:
        return self._opened(address)[1]

    def closable_at(self, address: str) -> ClosableScorer:
        """Return the scorer without its breaker."""
        return self._opened(address)[0]

    def unanswering(self, ready: Mapping[int, Sequence[str]]) -> frozenset[int]:
        """Return the versions all of whose scorers have an open breaker.

        Args:
            ready: addresses by version.
        """
        return frozenset(
            number
            for number, addresses in ready.items()
            if all(
                address in self._open and not self._open[address][1].is_closed
                for address in addresses
            )
        )

    async def close_all_but(self, used: AbstractSet[str]) -> None:
        """Close the scorers that nothing uses.

        Closing a channel with a call in flight cancels the task that awaits the call.
        """
        for address in [each for each in self._open if each not in used]:
            closable, _ = self._open.pop(address)
            await closable.close()

    def _opened(self, address: str) -> tuple[ClosableScorer, GuardedScorer]:
        if address not in self._open:
            opened = self._open_scorer(address)
            guarded = GuardedScorer(
                opened,
                self._breaker,
                gone_after_s=self._gone_after_s,
                turned=self._turned,
                exchanged=partial(self._exchanged, address),
            )
            self._open[address] = (opened, guarded)
        return self._open[address]
