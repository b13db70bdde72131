"""A drill: answers from a lower level for a limited time, on purpose and visibly."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from understudy.domain.deployments import DegradationLevel
from understudy.domain.errors import InvalidInputError

LONGEST_DRILL_S = 3600.0
_DURATION = re.compile(r"(?P<number>\d{1,9}(?:\.\d{1,9})?)\s*(?P<unit>ms|s|m|h)?")
_SECONDS_OF = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}
_log = structlog.get_logger()


def parse_duration_s(text: str) -> float:
    """Return the seconds in `30`, `30s`, `5m`, `1.5h` or `500ms`.

    Raises:
        InvalidInputError: the text has another form.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise InvalidInputError.of(
            "for", read=text, accepted="seconds, or a number with ms, s, m, h"
        )
    return float(match["number"]) * _SECONDS_OF[match["unit"]]


@dataclass(frozen=True, slots=True)
class Drill:
    level: DegradationLevel
    until_s: float  # monotonic
    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class RunningDrill:
    """A drill as shown to operators."""

    level: DegradationLevel
    left_s: float
    actor: str
    reason: str


class DrillSwitch:
    """Holds the drill of this process, which ends by itself."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self.is_on = False  # an attribute, because it is read for each call
        self._now_s = now_s
        self._drill: Drill | None = None

    def level(self) -> DegradationLevel:
        """Return the highest level to answer from: FULL if there is no drill."""
        if self._drill is None:
            return DegradationLevel.FULL
        if self._now_s() >= self._drill.until_s:
            self._end("time is up")
            return DegradationLevel.FULL
        return self._drill.level

    def planned(
        self, level: DegradationLevel, *, duration_s: float, actor: str, reason: str
    ) -> Drill:
        """Return a drill that may start now; level FULL ends one.

        Raises:
            InvalidInputError: duration, actor or reason is invalid.
        """
        if level is not DegradationLevel.FULL and not 0 < duration_s <= LONGEST_DRILL_S:
            raise InvalidInputError.of("duration_s", read=duration_s, accepted="above 0, to 3600")
        if not (actor and reason):
            raise InvalidInputError.of(
                "actor, reason", read=(actor, reason), accepted="both, not empty"
            )
        return Drill(level, self._now_s() + duration_s, actor, reason)

    def start(self, drill: Drill) -> None:
        """Start a planned drill, or end one with level FULL."""
        if drill.level is DegradationLevel.FULL:
            self._end(f"ended by {drill.actor}")
            return
        self._drill = drill
        self.is_on = True
        _log.warning(
            "drill_started",
            level=f"L{drill.level.value}",
            for_s=round(drill.until_s - self._now_s(), 1),
            actor=drill.actor,
            reason=drill.reason,
        )

    def running(self) -> RunningDrill | None:
        """Return the running drill, or None."""
        if self.level() is DegradationLevel.FULL or self._drill is None:
            return None
        drill = self._drill
        left_s = drill.until_s - self._now_s()
        return RunningDrill(drill.level, left_s, drill.actor, drill.reason)

    def _end(self, why: str) -> None:
        if self._drill is not None:
            _log.warning("drill_ended", why=why)
        self._drill = None
        self.is_on = False
