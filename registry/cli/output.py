"""Output of the registry's answers: tables for people, JSON for programs."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from registry.cli.contract_output import contract_rows
from registry.cli.named_version import NamedVersion, print_named_json
from understudy.control.margins_wire import margins_from_wire
from understudy.control.wire_enums import shown_name
from understudy.provenance.evidence import Evidence, FieldEvidence, summed_up
from understudy.registry.v1 import registry_pb2 as pb
from understudy.runtime.terminal.json_output import print_json
from understudy.runtime.terminal.message_values import message_value
from understudy.runtime.terminal.output_option import Format
from understudy.runtime.terminal.screen import Screen

_DIGEST = re.compile("[0-9a-f]{64}")
DIGEST_SHOWN = 12


def print_report(
    response: pb.RegisterVersionResponse | pb.CheckVersionResponse | pb.RecheckVersionResponse,
    output: Format,
    *named: NamedVersion,
) -> None:
    """Print the gate's report: every finding with what was read and what is wanted."""
    if output is Format.JSON:
        print_named_json(message_value(response), *named)
        return
    report, screen = response.report, Screen()
    print_evidence(report.evidence, screen)
    if report.findings:
        screen.say(f"refused: {len(report.findings)} findings in the provenance record")
        screen.table(
            ("field", "read", "wanted"), [(f.field, f.read, f.wanted) for f in report.findings]
        )
    elif isinstance(response, pb.RegisterVersionResponse) and response.HasField("version"):
        ref = response.version.ref
        state = (
            "nothing new: the content is that of" if response.already_registered else "registered"
        )
        again = ", whose collected artifact is there again" if response.recovered else ""
        screen.say(
            f"{state} {ref.model}@{ref.number}{again}, artifact {report.artifact_digest[:DIGEST_SHOWN]}, "
            f"provenance {report.provenance_digest[:DIGEST_SHOWN]}"
        )
    elif isinstance(response, pb.RecheckVersionResponse):
        screen.say("complete: the gate finds nothing against the registered version")
    else:
        screen.say("complete: the gate finds nothing; nothing was registered")


def print_evidence(rows: Iterable[pb.FieldEvidence], screen: Screen) -> None:
    """Print the ground of each field of a record; parts with the same ground are one row."""
    found = [FieldEvidence(row.field, _ground(row.evidence), row.by) for row in rows]
    if found:
        shown_rows = [(row.field, row.evidence.value, row.by) for row in summed_up(found)]
        screen.table(("field", "evidence", "by"), shown_rows, title="evidence")


def _ground(evidence: pb.Evidence.ValueType) -> Evidence:
    return Evidence(shown_name(pb.Evidence.Name(evidence), "EVIDENCE"))


def print_change(
    response: pb.ChangeDeploymentResponse, screen: Screen, *, is_rollback: bool
) -> None:
    """Print a change of a deployment as a table."""
    before, after = response.before, response.after
    current = f"revision {before.revision}" if response.HasField("before") else "not deployed"
    verb = "" if response.applied else " would be"
    if not response.HasField("after"):
        screen.say(
            f"{before.model}: {current} ->{verb} not deployed (revision {response.revision})"
        )
        screen.table(("part", "before"), deployment_parts(before))
        return
    screen.say(f"{after.model}: {current} ->{verb} revision {after.revision} ({after.digest[:12]})")
    rows = [
        (name, old if response.HasField("before") else "", new)
        for (name, old), (_, new) in zip(
            deployment_parts(before), deployment_parts(after), strict=True
        )
    ]
    if is_rollback and after.champion == before.champion:
        changed = ", ".join(name for name, old, new in rows if old != new) or "what no row shows"
        screen.say(f"champion unchanged (@{after.champion}); rolled back: {changed}")
    screen.table(("part", "before", "after"), rows)


def print_restore(response: pb.RestoreRegistryResponse, successor_of: str) -> None:
    screen, ended = Screen(), "".join(f"; {model} ends" for model in response.ends)
    models = ", ".join(each.model for each in response.deployments) or "no deployment"
    if response.applied:
        screen.say(f"registry {response.lineage} succeeds {successor_of}")
    else:
        screen.say(f"registry {response.lineage} would succeed {successor_of} under a new lineage")
    screen.say(f"revision {response.revision}: {models}{ended}")


def print_history(entries: Sequence[pb.RevisionEntry], output: Format) -> None:
    if output is Format.JSON:
        print_json([message_value(each) for each in entries])
        return
    Screen().table(
        (
            "revision",
            "at",
            "by",
            "action",
            "champion",
            "challengers",
            "shadows",
            "digest",
            "reason",
        ),
        [
            (
                str(each.deployment.revision),
                shown_time(each.at),
                each.actor,
                action_name(each.action),
                *[value for _, value in deployment_parts(each.deployment)[:3]],
                each.deployment.digest[:DIGEST_SHOWN],
                each.reason,
            )
            for each in entries
        ],
    )


def print_state(entry: pb.RevisionEntry, output: Format) -> None:
    """Print one revision with its origin: the declared parts, not the acting version."""
    if output is Format.JSON:
        print_json(message_value(entry))
        return
    deployment, screen = entry.deployment, Screen()
    ended = " (its end)" if entry.action == pb.ACTION_UNDEPLOY else ""
    screen.say(f"{deployment.model}: revision {deployment.revision}{ended}, as declared then")
    screen.table(
        ("field", "value"),
        [
            ("since", shown_time(entry.at)),
            ("by", entry.actor),
            ("action", action_name(entry.action)),
            ("reason", entry.reason),
            ("digest", deployment.digest),
            *deployment_parts(deployment),
        ],
    )


def print_audit(response: pb.ListAuditResponse, output: Format) -> None:
    if output is Format.JSON:
        print_json(message_value(response))
        return
    Screen().table(
        ("#", "at", "by", "action", "model", "revisions", "details", "reason", "digest"),
        [
            (
                str(each.sequence),
                shown_time(each.at),
                _actor(each),
                action_name(each.action),
                each.model,
                f"{each.from_revision} -> {each.to_revision}" if each.to_revision else "",
                _details(each.details_json),
                each.reason,
                each.digest[:DIGEST_SHOWN],
            )
            for each in response.entries
        ],
    )


def _actor(row: pb.AuditEntry) -> str:
    """Return the name of the actor with its proof, and the person for whom it acted."""
    proof = shown_name(pb.Proof.Name(row.proof), "PROOF")
    other = f" for {row.on_behalf_of}" if row.HasField("on_behalf_of") else ""
    return f"{row.actor}{other} ({proof}, {row.peer or 'here'})"


def action_name(action: pb.Action.ValueType) -> str:
    return shown_name(pb.Action.Name(action), "ACTION")


def _details(details_json: str) -> str:
    """Return a row's details with shortened digests; the text itself if it has another form."""
    try:
        details = json.loads(details_json)
    except ValueError:
        return details_json
    if not isinstance(details, dict):
        return details_json
    told = {name: value for name, value in details.items() if value is not None}
    return ", ".join(f"{name} {_detail(value)}" for name, value in sorted(told.items()))


def _detail(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    text = str(value)
    return text[:DIGEST_SHOWN] if _DIGEST.fullmatch(text) else text


def deployment_parts(deployment: pb.Deployment) -> list[tuple[str, str]]:
    return [
        ("champion", f"@{deployment.champion}"),
        ("challengers", ", ".join(_challengers(deployment))),
        ("shadows", ", ".join(_shadows(deployment))),
        ("fallback", _fallback(deployment.fallback)),
        (
            "threshold",
            f"{deployment.decision_threshold:g}"
            if deployment.HasField("decision_threshold")
            else "",
        ),
        ("rules", ", ".join(rule.name for rule in deployment.rules)),
        ("host labels", ", ".join(deployment.host_labels)),
        *contract_rows(deployment.contract),
    ]


def shown_shares(shares: Iterable[tuple[int, int]]) -> str:
    return ", ".join(f"@{version} {share_bp / 100:g}%" for version, share_bp in shares)


def own_mark(deployment: pb.Deployment, version: int) -> str:
    """Return the mark of a challenger or shadow of the champion's own version, for people."""
    return " (A/A)" if version == deployment.champion else ""


def _challengers(deployment: pb.Deployment) -> Iterator[str]:
    for each in deployment.challengers:
        share = shown_shares([(each.version, each.weight_bp)])
        yield share + own_mark(deployment, each.version)


def _shadows(deployment: pb.Deployment) -> Iterator[str]:
    for each in deployment.shadows:
        yield _shadow(each, own_mark(deployment, each.version))


def _shadow(shadow: pb.Shadow, mark: str) -> str:
    share = shown_shares([(shadow.version, shadow.sample_bp)]) + mark
    defaults = " without defaults" if shadow.refuses_defaults else ""
    margins = margins_from_wire(shadow)
    if margins is None:
        return share + defaults
    sizes = ", ".join(f"{measure} {size:g}" for measure, size in margins.of.items())
    return f"{share}{defaults} (for {margins.primary}, margins: {sizes})"


def _fallback(fallback: pb.Fallback) -> str:
    steps = [f"@{fallback.version}"] if fallback.HasField("version") else []
    if fallback.HasField("last_score_max_age_s"):
        steps.append(f"last score within {fallback.last_score_max_age_s:g} s")
    if fallback.HasField("constant_score"):
        steps.append(f"constant {fallback.constant_score:g}")
    return ", ".join(steps)


def approval_text(approval: pb.Approval) -> str:
    """Return the approvals that count, as a phrase: `1 of 2 approvals: bob`."""
    names = ", ".join(each.actor for each in approval.approvals)
    if not approval.needed and not names and not approval.HasField("ended_by"):
        return "none demanded"
    needed = f" of {approval.needed}" if approval.needed else ""
    text = f"{len(approval.approvals)}{needed} approvals{f': {names}' if names else ''}"
    if approval.HasField("ended_by"):
        by = approval.ended_by
        past = "rejected" if by.kind == pb.VOTE_KIND_REJECT else "voided"
        text += f"; {past} by {by.actor}: {by.reason}"
    if len(approval.approvals) < approval.needed and approval.could_approve:
        text += f"; could approve: {', '.join(approval.could_approve)}"
    return text


def shown_time(at: Timestamp) -> datetime:
    return at.ToDatetime(tzinfo=UTC).replace(microsecond=0)
