"""A scorer as used by lanes: behind its breaker, and timed."""

from collections.abc import Callable, Sequence

import numpy as np
import structlog
from numpy.typing import NDArray

from router.decisions.breaker import Breaker, BreakerPolicy, Permit
from router.decisions.hop import Hop
from router.ports import Inferred, OtherArtifactError, Scorer, ScorerHungError
from understudy.domain.errors import DeadlinePassedError, InvalidInputError
from understudy.domain.patience import Experience, Verdict
from understudy.domain.snapshots import VersionSpec
from understudy.domain.trace_context import TraceContext

_log = structlog.get_logger()


class GuardedScorer:
    """A scorer process with its breaker, shared by all lanes that use the process."""

    def __init__(
        self,
        scorer: Scorer,
        policy: BreakerPolicy,
        *,
        gone_after_s: float,
        turned: Callable[[], None] = lambda: None,
        exchanged: Callable[[], None] = lambda: None,
    ) -> None:
        """`turned` is called when the breaker has opened or closed, `exchanged` after an answer from
        another artifact.
        """
        self.scorer = scorer
        self.breaker = Breaker(policy)
        self.is_closed = True  # the breaker; an attribute, because it is read for each batch
        self.last_failure = ""  # the reason for the last failure
        self._gone_after_s = gone_after_s
        self._turned = turned
        self._exchanged = exchanged
        self._experience = Experience()

    def is_overdue(self, waited_s: float) -> bool:
        """Return whether a batch sent `waited_s` ago should have been answered by now."""
        return self._experience.is_overdue(waited_s)

    def admit(self, now_s: float) -> Permit | None:
        """Return permission to call the scorer, or None if its breaker does not allow it."""
        if self.breaker.standing is not None:
            return self.breaker.standing
        self.breaker, permit = self.breaker.admit(now_s)
        self.is_closed = self.breaker.is_closed
        return permit

    def judge(
        self, permit: Permit, failure: Exception | None, *, asked_s: float | None, now_s: float
    ) -> bool:
        """Record how a batch ended; return whether the scorer is as good as before.

        A scorer that was not called (`asked_s` None) is unchanged, one that reports a fault of
        the request is healthy, and one called with short deadlines may be.
        """
        if asked_s is None:
            return True
        if failure is None or isinstance(failure, InvalidInputError):
            self._experience = self._experience.after_answer(now_s - asked_s)
            if permit is not self.breaker.standing:  # which a success does not change
                self.record(permit, failure=None, now_s=now_s)
            return True
        if isinstance(failure, DeadlinePassedError):
            self._experience, verdict = self._experience.after_timeout(
                given_s=now_s - asked_s, gone_after_s=self._gone_after_s
            )
            if verdict is Verdict.NOTHING:
                return True
            if verdict is Verdict.GONE:
                why = f"no answer at all in {self._gone_after_s * 1000:.0f} ms of waiting"
                failure = ScorerHungError(f"scorer {self.scorer.address}", why)
        self.record(permit, failure=failure, now_s=now_s)
        return False

    def record(self, permit: Permit, *, failure: Exception | None, now_s: float) -> None:
        """Update the breaker after a permitted call."""
        was_closed = self.is_closed
        if failure is not None:
            self.last_failure = str(failure)
        if isinstance(failure, ScorerHungError | OtherArtifactError):
            self.breaker = self.breaker.trip(permit, now_s=now_s)
        else:
            self.breaker = self.breaker.record(permit, succeeded=failure is None, now_s=now_s)
        self.is_closed = self.breaker.is_closed
        if was_closed and not self.is_closed:
            _log.warning("scorer_breaker_opened", address=self.scorer.address, why=str(failure))
            self._turned()
        elif not was_closed and self.is_closed:
            self._experience = Experience()
            _log.info("scorer_breaker_closed", address=self.scorer.address)
            self._turned()
        if isinstance(failure, OtherArtifactError):
            self._exchanged()


class TimedScorer:
    """A scorer that records when it was called; None if not for this batch."""

    def __init__(self, scorer: Scorer, now_s: Callable[[], float]) -> None:
        self.address = scorer.address
        self.asked_s: float | None = None  # monotonic
        self._scorer = scorer
        self._now_s = now_s

    @property
    def hop(self) -> Hop:
        return self._scorer.hop

    async def infer(
        self,
        spec: VersionSpec,
        tensors: Sequence[NDArray[np.generic]],
        *,
        timeout_s: float,
        outputs: Sequence[str] = (),
        trace: TraceContext | None = None,
    ) -> Inferred:
        if timeout_s <= 0:
            raise DeadlinePassedError("scoring")
        self.asked_s = self._now_s()
        return await self._scorer.infer(
            spec, tensors, timeout_s=timeout_s, outputs=outputs, trace=trace
        )
