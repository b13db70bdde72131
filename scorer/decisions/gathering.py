"""The number of arrivals to gather before a run. Pure: the batcher supplies facts and obeys.

grpc.aio hands calls to handlers one per turn of the event loop, so "take what is waiting" finds
batches of one even with many callers in flight. But a lone caller must never wait. So the
number of calls to wait for is learnt from the sizes of recent gatherings:

alone   --a second call is seen coming-->  crowded
crowded --a gathering has one call-->      alone
"""

from dataclasses import dataclass

_REMEMBERED_GATHERINGS = 8
ALONE = 1


@dataclass(frozen=True, slots=True)
class Gathering:
    """The number of calls to gather before a run; `recent` has the sizes of the last gatherings."""

    target_calls: int = ALONE
    recent: tuple[int, ...] = ()

    @property
    def is_alone(self) -> bool:
        return self.target_calls == ALONE

    def crowd_seen(self) -> "Gathering":
        """Return the state after another call was seen coming: wait for at least two."""
        return Gathering(max(self.target_calls, ALONE + 1), self.recent)

    def gathered(self, calls: int) -> "Gathering":
        """Return the state after a gathering of `calls`."""
        recent = (*self.recent[-_REMEMBERED_GATHERINGS + 1 :], calls)
        if calls == ALONE:
            return Gathering(ALONE, recent)
        return Gathering(max(recent), recent)

    def is_complete(self, *, queued_calls: int, coming_calls: int) -> bool:
        """Return whether no other call is worth waiting for.

        Args:
            queued_calls: parsed and waiting for a run.
            coming_calls: accepted by the server, but not yet parsed.
        """
        return queued_calls >= self.target_calls and coming_calls <= 0
