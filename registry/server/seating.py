"""The taken seats of a process, for its event loop."""

from collections.abc import Iterator
from contextlib import contextmanager

from registry.decisions.seats import Full, Seats, ShareLimits
from understudy.domain.errors import OverloadedError

_RETRY_AFTER_MS = 1_000


class Seating:
    """Gives and takes back the seats of one kind of call; `what` names them in refusals."""

    def __init__(self, what: str, limits: ShareLimits) -> None:
        self._what = what
        self._seats = Seats(limits)

    @property
    def count(self) -> int:
        """The number of taken seats."""
        return self._seats.count

    @contextmanager
    def seat(self, peer: str) -> Iterator[None]:
        """Keep a seat for `peer` until the block ends.

        Raises:
            OverloadedError: there is none, in all or for this peer.
        """
        match self._seats.with_one_for(peer):
            case Full.OF_PEER:
                named = f"the list of {self._what} from this address"
                raise OverloadedError(named, retry_after_ms=_RETRY_AFTER_MS)
            case Full.ALL:
                named = f"the list of {self._what}"
                raise OverloadedError(named, retry_after_ms=_RETRY_AFTER_MS)
            case Seats() as taken:
                self._seats = taken
        try:
            yield
        finally:
            self._seats = self._seats.with_one_less_for(peer)
