"""The scorers that a router has open, each with its breaker, shared by all its models."""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import partial

from router.decisions.breaker import BreakerPolicy
from router.lanes.guarded_scorer import GuardedScorer
from router.ports import ClosableScorer

OpenScorer = Callable[[str, str | None], ClosableScorer]  # by address and reporting host


@dataclass(frozen=True, slots=True)
class _Opened:
    closable: ClosableScorer
    guarded: GuardedScorer
    host_id: str | None  # it must prove this name


class OpenScorers:
    """Opens a scorer on first use of its address, and closes it when nothing uses it any more.

    A scorer is opened for the host that reported it, and anew if another host reports the address.
    """

    def __init__(
        self,
        open_scorer: OpenScorer,
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
        self._hosts: Mapping[str, str] = {}
        self._open: dict[str, _Opened] = {}
        self._replaced: list[ClosableScorer] = []
        self._due: list[ClosableScorer] = []  # to be closed with the next state

    def expect(self, hosts: Mapping[str, str]) -> None:
        """Let scorers prove from now on that they are of these hosts, by address."""
        self._hosts = hosts

    def hosts_of(self, ready: Mapping[int, Sequence[str]]) -> tuple[str | None, ...]:
        """Return the hosts that reported the scorers; None for an address that none reports.

        Args:
            ready: addresses by version.
        """
        ordered = (address for _, addresses in sorted(ready.items()) for address in addresses)
        return tuple(self._hosts.get(address) for address in ordered)

    def at(self, address: str) -> GuardedScorer:
        return self._opened(address).guarded

    def closable_at(self, address: str) -> ClosableScorer:
        """Return the scorer without its breaker."""
        return self._opened(address).closable

    def unanswering(self, ready: Mapping[int, Sequence[str]]) -> frozenset[int]:
        """Return the versions all of whose scorers have an open breaker.

        Args:
            ready: addresses by version.
        """
        return frozenset(
            number
            for number, addresses in ready.items()
            if all(
                address in self._open and not self._open[address].guarded.is_closed
                for address in addresses
            )
        )

    async def close_all_but(self, used: AbstractSet[str]) -> None:
        """Close the scorers that nothing uses.

        Closing a channel with a call in flight cancels the task that awaits the call.
        """
        for address in [each for each in self._open if each not in used]:
            await self._open.pop(address).closable.close()
        # Replaced ones are closed one state later: a model that is retired now may await them.
        due = [*self._due, *([] if used else self._replaced)]
        self._due, self._replaced = self._replaced if used else [], []
        for closable in due:
            await closable.close()

    def _opened(self, address: str) -> _Opened:
        host_id = self._hosts.get(address)
        known = self._open.get(address)
        # A report that is gone expects nothing: models that it served may still be in use.
        if known is None or host_id not in {None, known.host_id}:
            if known is not None:
                self._replaced.append(known.closable)
            opened = self._open_scorer(address, host_id)
            guarded = GuardedScorer(
                opened,
                self._breaker,
                gone_after_s=self._gone_after_s,
                turned=self._turned,
                exchanged=partial(self._exchanged, address),
            )
            self._open[address] = _Opened(opened, guarded, host_id)
        return self._open[address]
