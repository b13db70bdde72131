"""A circuit breaker for one dependency, as a state machine without clock, lock or I/O.

Closed  --consecutive failures, or the failures among recent calls, reach the limit-->  Open
any     --a call proves that it is gone-->     Open
Open    --first call once due-->                Probing
Probing --probe succeeds-->                     Closed
Probing --probe fails-->                        Open
Probing --first call once expired-->            Probing   (the old probe was lost)
"""

from dataclasses import dataclass, field, replace
from typing import assert_never

_WINDOW_TIMES = 4  # multiple of the failures in a row: the number of recent calls considered
_TRIP_SHARE = 0.5  # of the recent calls


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    trip_after_failures: int  # in a row; also: half of the last four times as many calls
    cool_down_s: float
    probe_timeout_s: float

    @property
    def window_calls(self) -> int:
        return self.trip_after_failures * _WINDOW_TIMES


@dataclass(frozen=True, slots=True)
class Closed:
    consecutive_failures: int = 0
    recent: int = 0  # recent calls, one bit each, the last one lowest: 1 for a failure


@dataclass(frozen=True, slots=True)
class Open:
    probe_at_s: float


@dataclass(frozen=True, slots=True)
class Probing:
    expires_at_s: float


@dataclass(frozen=True, slots=True)
class Permit:
    """Permission for one call, to be returned to `Breaker.record`."""

    generation: int


@dataclass(frozen=True, slots=True)
class Breaker:
    """`generation` grows at each transition, so that a late answer cannot change a newer state."""

    policy: BreakerPolicy
    state: Closed | Open | Probing = field(default_factory=Closed)
    generation: int = 0
    # The permit of a breaker without recent failures; None if `admit` must be called. Neither
    # using it nor a success under it changes the breaker, so neither needs to be reported.
    standing: Permit | None = field(init=False)

    def __post_init__(self) -> None:
        is_calm = isinstance(self.state, Closed) and not self.state.recent
        object.__setattr__(self, "standing", Permit(self.generation) if is_calm else None)

    @property
    def is_closed(self) -> bool:
        return isinstance(self.state, Closed)

    def admit(self, now_s: float) -> tuple["Breaker", Permit | None]:
        """Return the next breaker and a permit, or None if the call must not be made."""
        match self.state:
            case Closed():
                return self, Permit(self.generation)
            case Open(probe_at_s=due_s) | Probing(expires_at_s=due_s):
                if now_s < due_s:
                    return self, None
                probing = self._move_to(Probing(now_s + self.policy.probe_timeout_s))
                return probing, Permit(probing.generation)
            case _:
                assert_never(self.state)

    def record(self, permit: Permit, *, succeeded: bool, now_s: float) -> "Breaker":
        """Return the breaker after a permitted call has ended; late answers change nothing."""
        if permit.generation != self.generation:
            return self
        match self.state:
            case Closed():
                return self._after_closed_call(self.state, succeeded=succeeded, now_s=now_s)
            case Probing():
                return self._move_to(
                    Closed() if succeeded else Open(now_s + self.policy.cool_down_s)
                )
            case Open():
                return self
            case _:
                assert_never(self.state)

    def trip(self, permit: Permit, *, now_s: float) -> "Breaker":
        """Return the breaker after a permitted call proved the dependency gone; no change if late."""
        if permit.generation != self.generation:
            return self
        return self._move_to(Open(now_s + self.policy.cool_down_s))

    def due_in_s(self, now_s: float) -> float:
        """Return how long no call will be admitted; 0 if one would be now."""
        match self.state:
            case Closed():
                return 0.0
            case Open(probe_at_s=due_s) | Probing(expires_at_s=due_s):
                return max(0.0, due_s - now_s)
            case _:
                assert_never(self.state)

    def _after_closed_call(self, state: Closed, *, succeeded: bool, now_s: float) -> "Breaker":
        if succeeded and not state.recent:
            return self  # nearly always
        window = self.policy.window_calls
        recent = (state.recent << 1 | (not succeeded)) & ((1 << window) - 1)
        in_a_row = 0 if succeeded else state.consecutive_failures + 1
        is_over = in_a_row >= self.policy.trip_after_failures
        if is_over or recent.bit_count() >= window * _TRIP_SHARE:
            return self._move_to(Open(now_s + self.policy.cool_down_s))
        return replace(self, state=Closed(in_a_row, recent))

    def _move_to(self, state: Closed | Open | Probing) -> "Breaker":
        return replace(self, state=state, generation=self.generation + 1)
