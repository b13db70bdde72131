"""What `understudy router status` and `explain` print: who answers, how, and what is in trouble."""

from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from understudy.control.report_wire import withheld_from_wire
from understudy.control.wire_enums import LEVEL_OF, shown_name
from understudy.router.v1 import router_pb2
from understudy.scoring.v1 import scoring_pb2

Status = router_pb2.GetRouterStatusResponse
_WITHHELD = {
    scoring_pb2.WITHHELD_REASON_UNSPECIFIED: "",
    scoring_pb2.WITHHELD_REASON_NOT_READY: "no ready scorer",
}


class OutputForm(StrEnum):
    TABLE = "table"
    JSON = "json"


def plain(message: Message) -> dict[str, Any]:
    """Return a message as JSON values, fields without a value included."""
    return MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def print_status(console: Console, found: Sequence[Status]) -> None:
    """Print all workers together; troubles last, where they are seen."""
    console.print(_answered(found))
    if mirrors := _mirrored(found):
        console.print(mirrors)
    for each in found:
        for model in each.models:
            withheld = [str(withheld_from_wire(each)) for each in model.withheld]
            acting = "; ".join(withheld) or "all parts act"
            console.print(
                f"{each.router_id}: {model.model} revision {model.revision}, "
                f"champion {model.champion if model.HasField('champion') else 'nobody'}; {escape(acting)}"
            )
    for trouble in troubles(found):
        console.print(f"[red]{escape(trouble)}[/red]")


def print_explained(
    console: Console, unit_key: str, found: scoring_pb2.ExplainAssignmentResponse
) -> None:
    """Print whom a unit key is assigned to, who answers, and the shares that say why."""
    assigned = _arm_version(found.model, found.assigned)
    console.print(escape(f"{unit_key} -> {assigned} (revision {found.revision})"))
    if found.answering != found.assigned:
        answering = (
            _arm_version(found.model, found.answering)
            if found.HasField("answering")
            else "no version"
        )
        console.print(f"[red]{escape(assigned)} is not ready; {escape(answering)} answers[/red]")
    table = Table("arm", "version", "bucket", "declared bp", "acting bp", "withheld because")
    for share in found.shares:
        table.add_row(
            _arm_name(share.arm),
            str(share.version),
            str(share.bucket_bp) if share.HasField("bucket_bp") else "",
            str(share.declared_bp),
            str(share.effective_bp),
            _WITHHELD[share.withheld_because],
        )
    console.print(table)


def _arm_version(model: str, named: scoring_pb2.ArmVersion) -> str:
    return f"{_arm_name(named.arm)} {model}@{named.version}"


def _arm_name(arm: scoring_pb2.Arm.ValueType) -> str:
    return shown_name(scoring_pb2.Arm.Name(arm), "ARM")


def troubles(found: Sequence[Status]) -> list[str]:
    """Return a line for each thing that an operator should know of."""
    lines: list[str] = []
    for each in found:
        lines += [
            f"{each.router_id}: breaker open for {scorer.model}@{scorer.version} "
            f"({scorer.address}): {scorer.last_failure}"
            for scorer in each.scorers
            if scorer.breaker_open
        ]
        if each.feature_breaker_open:
            lines.append(f"{each.router_id}: the feature store's breaker is open")
        lines += [
            f"{each.router_id}: the feature store's breaker is open for the shadow "
            f"{mirror.model}@{mirror.shadow_version}"
            for mirror in each.mirrors
            if mirror.feature_breaker_open
        ]
        lines += [
            f"{each.router_id}: {log.kind} log: {log.dropped} rows dropped, {log.failed} failed"
            for log in each.logs
            if log.dropped or log.failed
        ]
    lines += _sums("degraded", [(d.model, d.reason, d.rows) for s in found for d in s.degraded])
    lines += _sums(
        "without an answer", [(f.model, f.kind, f.rows) for s in found for f in s.failures]
    )
    late = sum(each.late_rows for each in found)
    if late:
        lines.append(f"scored too late for their callers: {late} rows since start")
    drilled = [each for each in found if each.drill]
    if drilled:
        lines.append(f"drill in {len(drilled)} of {len(found)} workers: {drilled[0].drill}")
    return lines


def _sums(what: str, counted: Sequence[tuple[str, str, int]]) -> list[str]:
    rows: Counter[tuple[str, str]] = Counter()
    for model, why, count in counted:
        rows[(model, why)] += count
    return [
        f"{what}: {model + ': ' if model else ''}{why}: {count} since start"
        for (model, why), count in sorted(rows.items())
    ]


def _answered(found: Sequence[Status]) -> Table:
    table = Table("router", "model", "version", "arm", "level", "rows", title="answered")
    for each in found:
        for row in each.answered:
            # A constant goes out in the champion's name, yet no model made it.
            is_constant = row.level == scoring_pb2.DEGRADATION_LEVEL_CONSTANT
            version = f"{row.version} (constant)" if is_constant else str(row.version)
            table.add_row(
                each.router_id,
                row.model,
                version,
                row.arm,
                f"L{LEVEL_OF[row.level].value}",
                str(row.rows),
            )
    return table


def _mirrored(found: Sequence[Status]) -> Table | None:
    fates = ("offered", "sampled_out", "dropped_queue_full", "dropped_expired",
             "dropped_not_ready", "ok", "error", "timeout", "in_flight")  # fmt: skip
    rows: dict[tuple[str, int], Counter[str]] = {}
    for each in found:
        for mirror in each.mirrors:
            sums = rows.setdefault((mirror.model, mirror.shadow_version), Counter())
            sums.update({fate: getattr(mirror, fate) for fate in fates})
    if not rows:
        return None
    table = Table("model", "shadow", *(fate.replace("_", " ") for fate in fates), title="mirrored")
    for (model, shadow), sums in sorted(rows.items()):
        table.add_row(model, str(shadow), *(str(sums[fate]) for fate in fates))
    return table
