"""How far a call has come: who has it, whom it tried, and why its answer is not the model's."""

from dataclasses import dataclass

from router.decisions.ladder import Cause

_MOST_ATTEMPTS = 2  # a failed batch is tried once more, on another scorer


@dataclass(slots=True, eq=False)
class Progress:
    """The only thing of a call that changes: all read it, and only its own methods change it.

    (Plain attributes, since lanes read them for each row. A test looks for who else assigns one.)
    """

    attempts: int = 0  # by scorers that failed it
    holders: int = 1  # queues and scorers that have it; only the last that fails says so
    is_alone: bool = False  # not to be joined with others: a batch with it was refused
    tried_champion: bool = False  # from the start where the champion answers for its seat
    tried_fallback: bool = False
    degraded_because: str = ""  # the first cause
    saw_rules: bool = False  # the deployment's rules were asked, and none decided

    @property
    def may_be_tried_again(self) -> bool:
        return self.attempts < _MOST_ATTEMPTS

    @property
    def may_be_hedged(self) -> bool:
        """Whether a second scorer may try, too: nobody else does, and its failure is not the last."""
        return self.holders == 1 and self.attempts + 1 < _MOST_ATTEMPTS

    def share(self) -> None:
        """Count another version in that has the call as well."""
        self.holders += 1

    def hedge(self) -> None:
        """Count another scorer of the same version in; that is the second attempt."""
        self.holders += 1
        self.attempts += 1

    def let_go(self) -> bool:
        """Count a holder out that did not answer; return whether it was the last."""
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
        """Note that a drill keeps the call from the champion, which is its arm or not."""
        self.tried_champion = False

    def go_to_fallback(self) -> None:
        self.tried_fallback = True

    def fall(self, cause: Cause) -> None:
        """Note why the model does not answer; what came first stays."""
        self.degraded_because = self.degraded_because or cause.value
