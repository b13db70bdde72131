"""Circuit breaker for one dependency, as a state machine without clock, lock or I/O.

Closed  --failures in a row reach the limit-->  Open
any     --a call proves it gone-->              Open
Open    --first call once due-->                Probing
Probing --probe succeeds-->                     Closed
Probing --probe fails-->                        Open
Probing --first call once expired-->            Probing   (the old probe was lost)
"""

from dataclasses import dataclass, field, replace
from typing import assert_never


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    trip_after_failures: int
    cool_down_s: float
    probe_timeout_s: float


@dataclass(frozen=True, slots=True)
class Closed:
    consecutive_failures: int = 0


@dataclass(frozen=True, slots=True)
class Open:
    probe_at_s: float


@dataclass(frozen=True, slots=True)
class Probing:
    expires_at_s: float


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to make one call; hand it back to `Breaker.record`."""

    generation: int


@dataclass(frozen=True, slots=True)
class Breaker:
    """`generation` grows at each transition, so a late answer cannot move a newer state."""

    policy: BreakerPolicy
    state: Closed | Open | Probing = field(default_factory=Closed)
    generation: int = 0

    @property
    def is_closed(self) -> bool:
        return isinstance(self.state, Closed)

    def admit(self, now_s: float) -> tuple["Breaker", Permit | None]:
        """Return the next breaker and a permit, or None when the call must not be made."""
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
        """Return the breaker after a permitted call ended; late answers change nothing."""
        if permit.generation != self.generation:
            return self
        match self.state:
            case Closed(consecutive_failures=failures):
                return self._after_closed_call(failures, succeeded=succeeded, now_s=now_s)
            case Probing():
                return self._move_to(
                    Closed() if succeeded else Open(now_s + self.policy.cool_down_s)
                )
            case Open():
                return self
            case _:
                assert_never(self.state)

    def trip(self, permit: Permit, *, now_s: float) -> "Breaker":
        """Return the breaker after a permitted call proved the dependency gone; late: unchanged."""
        if permit.generation != self.generation:
            return self
        return self._move_to(Open(now_s + self.policy.cool_down_s))

    def due_in_s(self, now_s: float) -> float:
        """Return how long no call will be admitted; 0 when one would be."""
        match self.state:
            case Closed():
                return 0.0
            case Open(probe_at_s=due_s) | Probing(expires_at_s=due_s):
                return max(0.0, due_s - now_s)
            case _:
                assert_never(self.state)

    def _after_closed_call(self, failures: int, *, succeeded: bool, now_s: float) -> "Breaker":
        if succeeded:
            return self if failures == 0 else replace(self, state=Closed())
        if failures + 1 < self.policy.trip_after_failures:
            return replace(self, state=Closed(failures + 1))
        return self._move_to(Open(now_s + self.policy.cool_down_s))

    def _move_to(self, state: Closed | Open | Probing) -> "Breaker":
        return replace(self, state=state, generation=self.generation + 1)
