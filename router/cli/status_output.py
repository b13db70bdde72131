"""Output of `understudy router status` and `explain`: answering versions, shares and problems."""

from collections import Counter
from collections.abc import Sequence

from router.decisions.hop import Hop
from understudy.control.report_wire import model_state_from_wire, refusal_from_wire
from understudy.control.wire_enums import LEVEL_OF, shown_name, wire_values
from understudy.domain.deployments import Arm
from understudy.registry.v1 import registry_pb2
from understudy.router.v1 import router_pb2
from understudy.runtime.terminal.json_output import print_json
from understudy.runtime.terminal.message_values import message_value
from understudy.runtime.terminal.output_option import Format
from understudy.runtime.terminal.screen import Screen
from understudy.scoring.v1 import scoring_pb2

_SILENT_SHIPPING_S = 120.0  # longer than a pass takes over many files
Status = router_pb2.GetRouterStatusResponse
_WITHHELD = {
    scoring_pb2.WITHHELD_REASON_UNSPECIFIED: "",
    scoring_pb2.WITHHELD_REASON_NOT_READY: "no ready scorer",
    scoring_pb2.WITHHELD_REASON_NO_ANSWER: "no scorer answers",
    scoring_pb2.WITHHELD_REASON_BLOCKED: "blocked",
    scoring_pb2.WITHHELD_REASON_UNSERVABLE: "not servable; `router status` says why",
    scoring_pb2.WITHHELD_REASON_UNPROVEN: "no scorer has answered yet",
}
_HOPS = {number: hop.value for hop, number in wire_values(Hop, router_pb2.Hop, "HOP").items()}
_ANSWERED = ("router", "model", "version", "arm", "level", "rows")
_FATES = (
    "offered",
    "sampled_out",
    "dropped_queue_full",
    "dropped_expired",
    "dropped_not_ready",
    "dropped_defaulted",
    "ok",
    "error",
    "timeout",
    "in_flight",
)
_MIRRORED = ("model", "shadow", *(fate.replace("_", " ") for fate in _FATES))


def print_status(found: Sequence[Status], output: Format) -> None:
    """Print all workers together, with problems last, where they are visible."""
    if output is Format.JSON:
        print_json([message_value(each) for each in found])
        return
    screen = Screen()
    screen.table(_ANSWERED, _answered(found), title="answered")
    if mirrored := _mirrored(found):
        screen.table(_MIRRORED, mirrored, title="mirrored")
    for each in found:
        if each.HasField("snapshot_lineage"):
            state = f"state {each.snapshot_sequence} of registry {each.snapshot_lineage}"
            screen.say(f"{each.router_id}: {state}")
        if hops := Counter(_HOPS[scorer.hop] for scorer in each.scorers if scorer.hop):
            used = ", ".join(f"{count} over {hop}" for hop, count in sorted(hops.items()))
            screen.say(f"{each.router_id}: scorers: {used}")
        for model in each.models:
            screen.say(f"{each.router_id}: {_in_effect(model)}")
    for trouble in troubles(found):
        screen.say((trouble, "red"))


def _in_effect(state: registry_pb2.RouterModelState) -> str:
    """Return the acting champion, and the reasons for each part that is not in effect."""
    told = model_state_from_wire(state)
    withheld = told.withheld
    acting = f"@{state.champion}" if state.HasField("champion") else "no version"
    champion = f"champion {acting}"
    for part in withheld:
        if part.arm is Arm.CHAMPION:
            because = part.reason.of(part.version)
            champion = f"declared champion @{part.version}, acting {acting}, because {because}"
    others = [str(part) for part in withheld if part.arm is not Arm.CHAMPION]
    others += told.lost_reserves
    all_act = not (withheld or told.lost_reserves)
    parts = f"{champion}; all parts are in effect" if all_act else "; ".join([champion, *others])
    return f"{state.model} revision {state.revision}: {parts}"


def print_explained(
    unit_key: str, found: scoring_pb2.ExplainAssignmentResponse, output: Format
) -> None:
    """Print the assigned arm of a unit key, the answering version, and the shares behind it."""
    if output is Format.JSON:
        print_json(message_value(found))
        return
    screen = Screen()
    assigned = _arm_version(found.model, found.assigned)
    screen.say(f"{unit_key} -> {assigned} (revision {found.revision})")
    if found.answering != found.assigned:
        answering = (
            _arm_version(found.model, found.answering)
            if found.HasField("answering")
            else "no version"
        )
        why = _WITHHELD[_reason_of(found)] or "not in effect"
        screen.say((f"{assigned} does not act ({why}); {answering} answers", "red"))
    screen.table(
        ("arm", "version", "bucket", "declared bp", "acting bp", "withheld because"),
        [
            (
                _arm_name(share.arm),
                share.version,
                share.bucket_bp if share.HasField("bucket_bp") else "",
                share.declared_bp,
                share.effective_bp,
                _WITHHELD[share.withheld_because],
            )
            for share in found.shares
        ],
    )
    _say_contract(found.contract, screen)


def _reason_of(
    found: scoring_pb2.ExplainAssignmentResponse,
) -> scoring_pb2.WithheldReason.ValueType:
    """Return the reason why the assigned arm is not in effect."""
    assigned = (found.assigned.arm, found.assigned.version)
    reasons = [s.withheld_because for s in found.shares if (s.arm, s.version) == assigned]
    return reasons[0] if reasons else scoring_pb2.WITHHELD_REASON_UNSPECIFIED


def _say_contract(contract: scoring_pb2.RequestContract, screen: Screen) -> None:
    unit_key = contract.unit_entity if contract.HasField("unit_entity") else "the request id"
    screen.say(f"requests must have: {', '.join(contract.required_entities) or 'no entity'}")
    screen.say(
        f"requests may have: {', '.join(contract.entities) or 'no entity'}; "
        f"{len(contract.features)} features; unit key: {unit_key}"
    )


def _arm_version(model: str, named: scoring_pb2.ArmVersion) -> str:
    return f"{_arm_name(named.arm)} {model}@{named.version}"


def _log_name(kind: router_pb2.LogKind.ValueType) -> str:
    return shown_name(router_pb2.LogKind.Name(kind), "LOG_KIND")


def _arm_name(arm: scoring_pb2.Arm.ValueType) -> str:
    return shown_name(scoring_pb2.Arm.Name(arm), "ARM")


def troubles(found: Sequence[Status]) -> list[str]:
    """Return a line for each problem that an operator should know of."""
    lines: list[str] = []
    for each in found:
        if each.HasField("refusal"):
            lines.append(f"{each.router_id}: {refusal_from_wire(each.refusal)}")
        lines += [
            f"{each.router_id}: breaker open for {scorer.model}@{scorer.version} "
            f"({scorer.address}): {scorer.last_failure}"
            for scorer in each.scorers
            if scorer.breaker_open
        ]
        lines += [
            f"{each.router_id}: {scorer.model}@{scorer.version} ({scorer.address}) has not answered "
            f"yet: {scorer.last_failure or 'it is being asked'}"
            for scorer in each.scorers
            if scorer.unproven and not scorer.has_other_artifact
        ]
        lines += [
            f"{each.router_id}: {scorer.model}@{scorer.version} ({scorer.address}) gets no calls, "
            f"because it loaded ANOTHER ARTIFACT: {scorer.last_failure}"
            for scorer in each.scorers
            if scorer.has_other_artifact
        ]
        if each.feature_breaker_open:
            lines.append(f"{each.router_id}: the feature store's breaker is open")
        lines += [f"{each.router_id}: {trouble}" for trouble in each.feature_store_troubles]
        lines += [
            f"{each.router_id}: the feature store's breaker is open for the shadow "
            f"{mirror.model}@{mirror.shadow_version}"
            for mirror in each.mirrors
            if mirror.feature_breaker_open
        ]
        lines += [
            f"{each.router_id}: {_log_name(log.kind)} log: {log.dropped} rows dropped, "
            f"{log.failed} failed"
            for log in each.logs
            if log.dropped or log.failed
        ]
    lines += _shipping_troubles(found)
    lines += _sums(
        "degraded",
        [
            (
                each.model,
                shown_name(scoring_pb2.DegradationReason.Name(each.reason), "DEGRADATION_REASON"),
                each.rows,
            )
            for status in found
            for each in status.degraded
        ],
    )
    lines += _sums(
        "without an answer",
        [
            (
                each.model,
                shown_name(router_pb2.FailureKind.Name(each.kind), "FAILURE_KIND"),
                each.rows,
            )
            for status in found
            for each in status.failures
        ],
    )
    late = sum(each.late_rows for each in found)
    if late:
        lines.append(f"scored too late for their callers: {late} rows since start")
    drilled = [each.drill for each in found if each.HasField("drill")]
    if drilled:
        lines.append(f"drill in {len(drilled)} of {len(found)} workers: {_drill(drilled[0])}")
    return lines


def _shipping_troubles(found: Sequence[Status]) -> list[str]:
    """Return a line if logs wait for their store; all workers have the same report."""
    reports = [each.log_shipping for each in found if each.HasField("log_shipping")]
    if not reports:
        return []
    newest = min(reports, key=lambda each: each.age_s)
    waiting = (
        f"{newest.waiting_files} files with {newest.waiting_bytes} bytes wait, the oldest for "
        f"{newest.oldest_waiting_s:.0f} s; {newest.local_bytes} bytes here"
    )
    if newest.age_s > _SILENT_SHIPPING_S:
        why = f"no report for {newest.age_s:.0f} s"
    elif newest.trouble:
        why = newest.trouble
    else:
        return []
    return [f"logs are not shipped to {newest.target}: {why}; {waiting}"]


def _drill(drill: router_pb2.RunningDrill) -> str:
    level = f"L{LEVEL_OF[drill.level].value}"
    return f"{level} for {drill.left_s:.0f} s more, by {drill.actor}: {drill.reason}"


def _sums(what: str, counted: Sequence[tuple[str, str, int]]) -> list[str]:
    rows: Counter[tuple[str, str]] = Counter()
    for model, why, count in counted:
        rows[(model, why)] += count
    return [
        f"{what}: {model + ': ' if model else ''}{why}: {count} since start"
        for (model, why), count in sorted(rows.items())
    ]


def _answered(found: Sequence[Status]) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for each in found:
        for row in each.answered:
            # A constant is answered in the champion's name, although no model computed it.
            is_constant = row.level == scoring_pb2.DEGRADATION_LEVEL_CONSTANT
            version = f"{row.version} (constant)" if is_constant else str(row.version)
            level = f"L{LEVEL_OF[row.level].value}"
            rows.append((each.router_id, row.model, version, _arm_name(row.arm), level, row.rows))
    return rows


def _mirrored(found: Sequence[Status]) -> list[tuple[object, ...]]:
    sums: dict[tuple[str, int], Counter[str]] = {}
    for each in found:
        for mirror in each.mirrors:
            counts = sums.setdefault((mirror.model, mirror.shadow_version), Counter())
            counts.update({fate: getattr(mirror, fate) for fate in _FATES})
    return [
        (model, shadow, *(counts[fate] for fate in _FATES))
        for (model, shadow), counts in sorted(sums.items())
    ]
