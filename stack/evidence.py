"""The evidence that the demo left behind: the logs, and the routers' counts."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from stack.decisions.demo_checks import ArmCount, LoggedRow
from understudy.control.wire_enums import ARM_OF, LEVEL_OF
from understudy.domain.deployments import Arm
from understudy.logs.finished_files import Scope
from understudy.logs.ledger import MirrorLedger
from understudy.logs.reader import open_logs
from understudy.router.v1 import router_pb2


def read_score_log(log_dir: Path, model: str) -> list[LoggedRow]:
    with open_logs(log_dir, Scope(model)) as reader:
        rows = reader.rows(
            "SELECT request_id, revision, version, arm, level, score FROM score "
            "WHERE model = $model",
            {"model": model},
        )
    return [LoggedRow(**{**row, "arm": Arm(row["arm"])}) for row in rows]


def count_shadow_rows(log_dir: Path, model: str) -> dict[str, int]:
    """Return the rows of the shadow log by status."""
    with open_logs(log_dir, Scope(model)) as reader:
        rows = reader.rows(
            "SELECT status, count(*) AS rows FROM shadow WHERE model = $model GROUP BY status",
            {"model": model},
        )
    return {row["status"]: row["rows"] for row in rows}


def count_outcome_rows(log_dir: Path, model: str) -> int:
    with open_logs(log_dir, Scope(model)) as reader:
        rows = reader.rows(
            "SELECT count(*) AS rows FROM outcomes WHERE model = $model", {"model": model}
        )
    return int(rows[0]["rows"])


def rows_by_arm(books: Iterable[router_pb2.GetRouterStatusResponse]) -> Counter[ArmCount]:
    counts: Counter[ArmCount] = Counter()
    for each in books:
        for row in each.answered:
            counts[ArmCount(row.version, ARM_OF[row.arm], LEVEL_OF[row.level])] += row.rows
    return counts


def ledger_of(books: Iterable[router_pb2.GetRouterStatusResponse]) -> MirrorLedger:
    """Return the mirror's ledger over all workers and shadows."""
    total = MirrorLedger()
    for each in books:
        for mirror in each.mirrors:
            total += MirrorLedger(
                offered=mirror.offered,
                sampled_out=mirror.sampled_out,
                dropped_queue_full=mirror.dropped_queue_full,
                dropped_expired=mirror.dropped_expired,
                dropped_not_ready=mirror.dropped_not_ready,
                dropped_defaulted=mirror.dropped_defaulted,
                ok=mirror.ok,
                error=mirror.error,
                timeout=mirror.timeout,
            )
    return total
