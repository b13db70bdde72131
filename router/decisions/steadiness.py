"""The steadiness of a version that stops answering and answers again, over and over. Pure.

The first return counts at once. Each further loss within a minute doubles the time for which the
version must answer before it may act again, so a flapping champion changes hands a few times a
minute at most, and not with every probe.
"""

from dataclasses import dataclass

_WINDOW_S = 60.0
_FIRST_HOLD_S = 1.0
_LONGEST_HOLD_S = 20.0


@dataclass(frozen=True, slots=True)
class Steadiness:
    lost_at_s: tuple[float, ...] = ()  # when it stopped answering, in the last minute; monotonic
    answers_since_s: float | None = float("-inf")  # None while it does not answer

    def after_look(self, *, answers: bool, now_s: float) -> "Steadiness":
        """Return the steadiness after it was seen to answer, or not to."""
        recent = tuple(each for each in self.lost_at_s if each > now_s - _WINDOW_S)
        if not answers:
            lost = (*recent, now_s) if self.answers_since_s is not None else recent
            return Steadiness(lost, None)
        if not recent:
            return Steadiness()
        since_s = now_s if self.answers_since_s is None else self.answers_since_s
        return Steadiness(recent, since_s)

    @property
    def hold_s(self) -> float:
        """For how long it must answer before it may act."""
        again = len(self.lost_at_s) - 1
        return 0.0 if again < 1 else min(_LONGEST_HOLD_S, _FIRST_HOLD_S * 2.0 ** (again - 1))

    def left_s(self, now_s: float) -> float:
        """Return the time until it may act, if it goes on answering; 0 if it may now."""
        if self.answers_since_s is None:
            return 0.0  # its breakers tell
        return max(0.0, self.answers_since_s + self.hold_s - now_s)
