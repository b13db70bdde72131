"""The pause in reading from a store after it failed to answer."""

from dataclasses import dataclass, field, replace
from math import inf

from understudy.domain.patience import Experience, Verdict

_REST_S = 1.0
_GONE_AFTER_S = 1.0  # total wait without any answer


@dataclass(frozen=True, slots=True)
class StoreRest:
    """Experience with a store's reads, replaced after each of them. Times are monotonic."""

    ends_s: float = -inf
    experience: Experience = field(default_factory=Experience)

    def after_answer(self, took_s: float) -> "StoreRest":
        return replace(self, experience=self.experience.after_answer(took_s))

    def after_failure(self, *, began_s: float, now_s: float, timeout_s: float) -> "StoreRest":
        """Return the state after a read with a limit of `timeout_s` failed."""
        took_s = now_s - began_s
        resting = replace(self, ends_s=now_s + _REST_S)
        if took_s < timeout_s:
            return resting  # the store reported the failure itself
        experience, verdict = self.experience.after_timeout(
            given_s=took_s, gone_after_s=_GONE_AFTER_S
        )
        seen = self if verdict is Verdict.NOTHING else resting
        return replace(seen, experience=experience)
