"""The verdict on the demo's claims, from counted facts."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from router.decisions.assignment import Assigner, split_of
from understudy.domain.deployments import Arm, Deployment
from understudy.logs.ledger import MirrorLedger


@dataclass(frozen=True, slots=True)
class Call:
    """An answered call, as seen by its caller."""

    request_id: str
    unit: str
    revision: int
    version: int
    arm: Arm
    level: int
    score: float
    latency_s: float
    may_be_withheld: bool  # a declared arm may still have been warming up somewhere at the time


@dataclass(frozen=True, slots=True)
class LoggedRow:
    """A row of the score log."""

    request_id: str
    revision: int
    version: int
    arm: Arm
    level: int
    score: float


@dataclass(frozen=True, slots=True)
class ArmCount:
    version: int
    arm: Arm
    level: int


@dataclass(frozen=True, slots=True)
class Facts:
    """The counts of all parties."""

    calls: Sequence[Call]  # by the callers
    failures: Sequence[str]  # by the callers: reasons of failed calls
    deployments: Mapping[int, Deployment]  # by the registry: revision number to content
    router_rows: Mapping[ArmCount, int]  # by the workers of the routers
    ledger: MirrorLedger  # by the workers of the routers, summed
    logged: Sequence[LoggedRow]  # in the score log
    shadow_rows: Mapping[str, int]  # in the shadow log, by status
    outcomes_sent: int  # by the caller
    outcome_rows: int  # in the outcome log
    audit_intact: bool  # the registry's chain of digests
    gate_refused: bool  # the incomplete record


@dataclass(frozen=True, slots=True)
class Check:
    claim: str
    broken: tuple[str, ...]  # facts against it; empty if it holds

    @property
    def holds(self) -> bool:
        return not self.broken


def judge(facts: Facts) -> tuple[Check, ...]:
    """Return a verdict on each claim of the demo."""
    return (
        Check(
            "the gate refuses an incomplete record", _unless(facts.gate_refused, "it accepted one")
        ),
        Check("no call failed", _some(_failures(facts))),
        Check("every call was answered by the arm of its unit", _some(_strays(facts))),
        Check("the routers count what the callers count", _some(_miscounts(facts))),
        Check("the mirror's ledger balances", _some(_ledger_gaps(facts))),
        Check("the score log holds every answer, once and as given", _some(_log_gaps(facts))),
        Check("the shadow log holds every mirrored row", _some(_shadow_gaps(facts))),
        Check("the outcome log holds every outcome", _some(_outcome_gaps(facts))),
        Check("the rollback restored the earlier revision", _some(_rollback_gaps(facts))),
        Check("the audit log's chain is whole", _unless(facts.audit_intact, "it is broken")),
    )


def count_by_arm(calls: Iterable[Call]) -> Counter[ArmCount]:
    return Counter(ArmCount(call.version, call.arm, call.level) for call in calls)


def _failures(facts: Facts) -> Iterator[str]:
    if not facts.calls:
        yield "no call was answered"
    for why, count in Counter(facts.failures).items():
        yield f"{count} x {why}"


def _strays(facts: Facts) -> Iterator[str]:
    """Compute the arm again from revision and unit alone."""
    assigners = {number: Assigner(split_of(each)) for number, each in facts.deployments.items()}
    for call in facts.calls:
        assigner = assigners.get(call.revision)
        if assigner is None:
            yield f"{call.request_id} names revision {call.revision}, which does not exist"
            continue
        seat = assigner.split.arms[assigner.assign(call.unit)]
        if (seat.arm, seat.version) == (call.arm, call.version):
            continue
        # A share applies only to a version that is ready; until then it stays with the champion.
        if call.may_be_withheld and call.arm is Arm.CHAMPION:
            continue
        yield (
            f"{call.request_id}: unit {call.unit} belongs to {seat.arm} @{seat.version} at revision "
            f"{call.revision}, and {call.arm} @{call.version} answered"
        )


def _miscounts(facts: Facts) -> Iterator[str]:
    seen = count_by_arm(facts.calls)
    for key in sorted({*seen, *facts.router_rows}, key=str):
        if seen[key] != facts.router_rows.get(key, 0):
            yield (
                f"@{key.version} {key.arm} L{key.level}: callers {seen[key]}, "
                f"routers {facts.router_rows.get(key, 0)}"
            )


def _ledger_gaps(facts: Facts) -> Iterator[str]:
    ledger = facts.ledger
    if not ledger.balances():
        yield f"{ledger.in_flight} rows unaccounted for: {ledger}"
    mirrored = sum(
        bool(facts.deployments[call.revision].shadows)
        for call in facts.calls
        if call.revision in facts.deployments
    )
    if ledger.offered != mirrored:
        yield f"{mirrored} answers were expected, {ledger.offered} were offered"


def _log_gaps(facts: Facts) -> Iterator[str]:
    times = Counter(row.request_id for row in facts.logged)
    twice = sum(count > 1 for count in times.values())
    if twice:
        yield f"{twice} requests are logged more than once"
    logged = {row.request_id: row for row in facts.logged}
    answered = {call.request_id for call in facts.calls}
    if missing := len(answered - logged.keys()):
        yield f"{missing} of {len(answered)} answers are missing"
    if strangers := len(logged.keys() - answered):
        yield f"{strangers} rows belong to no answer"
    differing = sum(
        call.request_id in logged and _as_logged(call) != logged[call.request_id]
        for call in facts.calls
    )
    if differing:
        yield f"{differing} rows differ from the answer that the caller received"


def _as_logged(call: Call) -> LoggedRow:
    return LoggedRow(call.request_id, call.revision, call.version, call.arm, call.level, call.score)


def _shadow_gaps(facts: Facts) -> Iterator[str]:
    ledger = facts.ledger
    for status, rows in (("ok", ledger.ok), ("error", ledger.error), ("timeout", ledger.timeout)):
        if facts.shadow_rows.get(status, 0) != rows:
            yield f"{status}: ledger {rows}, log {facts.shadow_rows.get(status, 0)}"
    if not ledger.ok:
        yield "the shadow scored nothing"


def _outcome_gaps(facts: Facts) -> Iterator[str]:
    if facts.outcome_rows != facts.outcomes_sent or not facts.outcomes_sent:
        yield f"sent {facts.outcomes_sent}, in the log {facts.outcome_rows}"


def _rollback_gaps(facts: Facts) -> Iterator[str]:
    last = max(facts.deployments, default=0)
    before = facts.deployments.get(last - 2)
    if before is None or before.digest != facts.deployments[last].digest:
        yield f"revision {last} does not equal revision {last - 2}"
    answered = {(call.revision, call.arm) for call in facts.calls}
    for number in range(max(1, last - 2), last + 1):
        if (number, Arm.CHAMPION) not in answered:
            yield f"no call was answered under revision {number}"


def _some(broken: Iterable[str], most: int = 5) -> tuple[str, ...]:
    """Return the first few, and how many more there are."""
    found = tuple(broken)
    more = len(found) - most
    return found if more <= 0 else (*found[:most], f"and {more} more")


def _unless(holds: bool, broken: str) -> tuple[str, ...]:  # noqa: FBT001 - private, reads well
    return () if holds else (broken,)
