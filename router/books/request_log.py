"""One canonical line per request: off, sampled or all. Failures are always logged, within limits."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from time import monotonic

import structlog

from router.books.bounded_lines import BoundedLines
from router.calls.answered import Answered, level_of_call, reasons_of_call
from router.calls.call import Call
from router.calls.rows import starts_of
from router.decisions.sampling import is_sampled
from understudy.domain.errors import UnderstudyError

REQUEST_EVENTS = ("request_scored", "request_failed")  # one per request, if the setting says so
_MOST_TROUBLES_PER_S = 10  # lines about degraded answers, and as many about failed requests
_log = structlog.get_logger()


class RequestLines(StrEnum):
    OFF = "off"
    SAMPLED = "sampled"
    ALL = "all"


class RequestLogLines:
    """Writes the lines of a batch; the columnar score log has every answered request anyway.

    Requests that the setting selects are logged whatever their outcome. Of the others,
    degraded and failed ones are logged, up to a number per second.
    """

    def __init__(
        self, lines: RequestLines, sample_bp: int, *, now_s: Callable[[], float] = monotonic
    ) -> None:
        self.is_quiet = lines is RequestLines.OFF
        self._sample_bp = {RequestLines.OFF: 0, RequestLines.ALL: 10_000}.get(lines, sample_bp)
        self._degraded = BoundedLines("request_scored", _MOST_TROUBLES_PER_S, now_s=now_s)
        self._failed = BoundedLines("request_failed", _MOST_TROUBLES_PER_S, now_s=now_s)
        self._foreign = BoundedLines("records_of_another_definition", 1, now_s=now_s)

    def answered(self, answered: Answered, *, now_s: float) -> None:
        """Write the lines for a batch of answers. `now_s`: when it was answered."""
        if answered.wrong_digests and self._foreign.allowed(1):
            _log.warning(
                "records_of_another_definition",
                model=answered.served.model,
                version=answered.served.version,
                records=answered.wrong_digests,
            )
        if self.is_quiet and answered.levels is None:
            return
        troubled: list[tuple[Call, int]] = []
        for call, at in zip(answered.calls, starts_of(answered.calls), strict=True):
            if self._is_chosen(call):
                _write_answered(answered, call, at, now_s)
            elif level_of_call(answered, call, at):
                troubled.append((call, at))
        if troubled:
            for call, at in troubled[: self._degraded.allowed(len(troubled))]:
                _write_answered(answered, call, at, now_s)

    def failed(self, calls: Sequence[Call], error: UnderstudyError, *, now_s: float) -> None:
        """Write the lines for requests that end with an error, without a declared fallback."""
        chosen = [call for call in calls if self._is_chosen(call)]
        others = [call for call in calls if not self._is_chosen(call)]
        for call in (*chosen, *others[: self._failed.allowed(len(others))]):
            _log.error(
                "request_failed",
                request_id=call.request_id,
                **_trace_of(call),
                model=call.live.deployment.model,
                revision=call.live.deployment.revision,
                error=type(error).__name__,
                cause=call.progress.degraded_because,
                tried=_tried(call),
                rows=call.rows,
                latency_ms=_ms(now_s - call.arrived_s),
            )

    def _is_chosen(self, call: Call) -> bool:
        return self._sample_bp > 0 and is_sampled(
            call.request_id, shadow_version=0, salt="request-log", sample_bp=self._sample_bp
        )


def _write_answered(answered: Answered, call: Call, at: int, now_s: float) -> None:
    level = level_of_call(answered, call, at)
    write = _log.warning if level else _log.info
    write(
        "request_scored",
        request_id=call.request_id,
        **_trace_of(call),
        model=answered.served.model,
        version=answered.served.version,
        arm=answered.served.arm.value,
        revision=answered.served.revision,
        degradation=f"L{level.value}",
        reasons=reasons_of_call(answered, call, at),
        rows=call.rows,
        queue_ms=_ms(answered.timing.taken_s - call.arrived_s),
        fetch_ms=answered.timing.fetch_us / 1000,
        infer_ms=answered.timing.infer_us / 1000,
        latency_ms=_ms(now_s - call.arrived_s),
    )


def _trace_of(call: Call) -> dict[str, str]:
    return {} if call.trace is None else {"trace_id": call.trace.trace_id}


def _tried(call: Call) -> list[str]:
    """Return the steps of the ladder that were tried."""
    progress = call.progress
    tried = [
        ("champion", progress.tried_champion),
        ("fallback_version", progress.tried_fallback),
    ]
    return [name for name, was_tried in tried if was_tried]


def _ms(seconds: float) -> float:
    return round(max(seconds, 0.0) * 1000, 3)
