"""Recording of drills of the degradation ladder in the audit log: actor, level, reason."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine

from registry.decisions.actors import Actor
from registry.store import audit_log
from registry.store.database import writing
from understudy.domain.canonical import canonical_json
from understudy.domain.changes import Action
from understudy.domain.deployments import DegradationLevel
from understudy.domain.errors import Fault, InvalidInputError
from understudy.domain.instants import unix_ns

_LONGEST_DRILL_S = 3600.0  # as the router's
_LONGEST_ROUTER = 300


@dataclass(frozen=True, slots=True)
class Drill:
    """A drill that an operator is about to start, or to end with level FULL.

    Raises:
        InvalidInputError: on construction, with all faults.
    """

    actor: Actor
    router: str
    level: DegradationLevel
    duration_s: float
    reason: str

    def __post_init__(self) -> None:
        faults = []
        faults += self._duration_faults()
        if not 1 <= len(self.router) <= _LONGEST_ROUTER:
            accepted = f"1 to {_LONGEST_ROUTER} characters"
            faults.append(Fault("router", f"{len(self.router)} characters", accepted))
        if faults:
            raise InvalidInputError(faults)

    def _duration_faults(self) -> list[Fault]:
        lasts = self.duration_s > 0 or (
            self.duration_s == 0 and self.level is DegradationLevel.FULL
        )
        if lasts and self.duration_s <= _LONGEST_DRILL_S:
            return []
        accepted = f"above 0 to {_LONGEST_DRILL_S:g} seconds; 0 only with level FULL"
        return [Fault("duration_s", str(self.duration_s), accepted)]


def record_drill(engine: Engine, drill: Drill, at: datetime) -> str:
    """Append the row and return its digest. Blocks; for a worker thread."""
    details = {
        "router": drill.router,
        "level": f"L{drill.level.value}",
        "duration_s": drill.duration_s,
    }
    with writing(engine) as connection:
        return audit_log.append(
            connection,
            audit_log.Event(
                at_ns=unix_ns(at),
                actor=drill.actor,
                action=Action.DRILL,
                model="",
                reason=drill.reason,
                details_json=canonical_json(details),
            ),
        )
