"""The progress of a call: its holders, the versions tried, and the reason for a fallback."""

from dataclasses import dataclass

from router.decisions.ladder import Cause

_MOST_ATTEMPTS = 2  # a failed batch is tried once more, on another scorer


@dataclass(slots=True, eq=False)
class Progress:
    """The only mutable part of a call: anyone may read it, but only its own methods change it.

    (Plain attributes, because lanes read them for each row. A test searches for other assignments.)
    """

    attempts: int = 0  # by scorers that failed
    holders: int = 1  # queues and scorers that have it; only the last to fail reports it
    is_alone: bool = False  # not to be joined with others: a batch with it was refused
    tried_champion: bool = False  # true from the start if the champion answers for its seat
    tried_fallback: bool = False
    degraded_because: str = ""  # the first cause
    saw_rules: bool = False  # the deployment's rules were applied, and none decided

    @property
    def may_be_tried_again(self) -> bool:
        return self.attempts < _MOST_ATTEMPTS

    @property
    def may_be_hedged(self) -> bool:
        """Return whether a second scorer may try: no other one does, and its failure is not final."""
        return self.holders == 1 and self.attempts + 1 < _MOST_ATTEMPTS

    def share(self) -> None:
        """Add another version as a holder of the call."""
        self.holders += 1

    def hedge(self) -> None:
        """Add another scorer of the same version as a holder; this is the second attempt."""
        self.holders += 1
        self.attempts += 1

    def let_go(self) -> bool:
        """Remove a holder that did not answer; return whether it was the last."""
        if self.holders > 1:
            self.holders -= 1
            return False
        return True

    def fail_attempt(self) -> None:
        self.attempts += 1

    def stay_alone(self) -> None:
        self.is_alone = True

    def see_rules(self) -> None:
        self.saw_rules = True

    def go_to_champion(self) -> None:
        self.tried_champion = True

    def pass_champion_by(self) -> None:
        """Record that a drill keeps the call from the champion, whatever its arm."""
        self.tried_champion = False

    def go_to_fallback(self) -> None:
        self.tried_fallback = True

    def fall(self, cause: Cause) -> None:
        """Record why the model does not answer; the first reason stays."""
        self.degraded_because = self.degraded_because or cause.value
