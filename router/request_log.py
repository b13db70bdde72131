"""One canonical line per request: off, sampled or all. Degraded answers always leave one."""

from enum import StrEnum

import structlog

from router.decisions.sampling import is_sampled
from router.work import Answered, Work, level_of_row, reasons_of_row

_log = structlog.get_logger()


class RequestLines(StrEnum):
    OFF = "off"
    SAMPLED = "sampled"
    ALL = "all"


class RequestLogLines:
    """Writes the lines of a batch; the columnar score log has every request anyway."""

    def __init__(self, lines: RequestLines, sample_bp: int) -> None:
        self._lines = lines
        self._sample_bp = {RequestLines.OFF: 0, RequestLines.ALL: 10_000}.get(lines, sample_bp)

    def answered(self, answered: Answered, *, now_s: float) -> None:
        if self._lines is RequestLines.OFF and answered.levels is None:
            return
        row = 0
        for work in answered.works:
            level = level_of_row(answered, row)
            if level or self._is_chosen(work):
                write = _log.warning if level else _log.info
                write(
                    "request_scored",
                    request_id=work.request_id,
                    model=answered.served.model,
                    version=answered.served.version,
                    arm=answered.served.arm.value,
                    revision=answered.served.revision,
                    degradation=f"L{level.value}",
                    reasons=reasons_of_row(answered, work, row),
                    rows=work.rows,
                    queue_ms=_ms(answered.timing.taken_s - work.arrived_s),
                    fetch_ms=answered.timing.fetch_us / 1000,
                    infer_ms=answered.timing.infer_us / 1000,
                    latency_ms=_ms(now_s - work.arrived_s),
                )
            row += work.rows

    def _is_chosen(self, work: Work) -> bool:
        return self._sample_bp > 0 and is_sampled(
            work.request_id, shadow_version=0, salt="request-log", sample_bp=self._sample_bp
        )


def _ms(seconds: float) -> float:
    return round(max(seconds, 0.0) * 1000, 3)
