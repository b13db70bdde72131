"""The rules for when a child that does not answer its probes is replaced. Pure.

A probe stays without an answer because the child hangs, or because the machine is busy or was
suspended. In the last two cases all children are silent at once, and replacing them all would be
the outage that supervision should prevent. Two rules limit the harm of a wrong judgement: a probe
of a supervisor that was itself held up proves nothing, and of a group of children one at a time
is replaced.
"""

from dataclasses import dataclass, replace

_MOST_LATE_S = 5.0  # of a probe; above it the supervisor itself was held up


@dataclass(frozen=True, slots=True)
class LivenessPolicy:
    """The limits of silence."""

    interval_s: float = 2.0  # from the beginning of one probe to the next, if it ends before
    timeout_s: float = 2.0  # a later answer is a miss
    misses: int = 3  # consecutive misses after which a child counts as hung


@dataclass(frozen=True, slots=True)
class Liveness:
    """The consecutive misses of one child. Replaced after each probe."""

    policy: LivenessPolicy
    probed_at_s: float  # end of the last probe, monotonic
    misses: int = 0

    def after_probe(self, now_s: float, *, answered: bool) -> "Liveness":
        """Return the state after a probe that ended at `now_s` (monotonic)."""
        if answered:
            return replace(self, probed_at_s=now_s, misses=0)
        due_s = self.probed_at_s + self.policy.interval_s + self.policy.timeout_s
        was_held_up = now_s - due_s > _MOST_LATE_S
        return replace(self, probed_at_s=now_s, misses=self.misses + (not was_held_up))

    def counted_anew(self) -> "Liveness":
        """Return the state without its misses."""
        return replace(self, misses=0)

    @property
    def hangs(self) -> bool:
        return self.misses >= self.policy.misses


@dataclass(frozen=True, slots=True)
class Replacement:
    """The child of a group that was replaced because it hung, until it is ready again."""

    child: str
    began_s: float  # monotonic


@dataclass(frozen=True, slots=True)
class Replacements:
    """The replacements of hung children in one group: one at a time. Replaced whole."""

    longest_s: float | None = None  # then the next may be replaced; None: not before it is ready
    current: Replacement | None = None

    def may_begin(self, now_s: float) -> bool:
        """Return whether a hung child may be replaced at `now_s` (monotonic)."""
        if self.current is None:
            return True
        return self.longest_s is not None and now_s - self.current.began_s >= self.longest_s

    def begun(self, child: str, now_s: float) -> "Replacements":
        return replace(self, current=Replacement(child, now_s))

    def over(self, child: str) -> "Replacements":
        """Return the state after `child` became ready, or stays down for good."""
        if self.current is None or self.current.child != child:
            return self
        return replace(self, current=None)
