"""Output of `registry status`: declared, scorers, routers, and the watchers that refuse."""

from collections.abc import Iterator

from registry.cli.contract_output import print_contracts
from registry.cli.output import (
    DIGEST_SHOWN,
    approval_text,
    deployment_parts,
    own_mark,
    shown_shares,
    shown_time,
)
from understudy.control.report_wire import (
    acting_from_wire,
    model_state_from_wire,
    refusal_from_wire,
)
from understudy.control.wire_enums import shown_name
from understudy.control.wire_values import ref_from_wire
from understudy.registry.v1 import registry_pb2 as pb
from understudy.runtime.terminal.json_output import print_json
from understudy.runtime.terminal.message_values import message_value
from understudy.runtime.terminal.output_option import Format
from understudy.runtime.terminal.plain_text import shown
from understudy.runtime.terminal.screen import Screen

_DECLARED_PARTS = ("challengers", "shadows", "fallback")


def print_status(status: pb.GetStatusResponse, output: Format) -> None:
    if output is Format.JSON:
        print_json(message_value(status))
        return
    screen = Screen()
    screen.say(f"registry {status.lineage}, state {status.sequence}")
    _print_review(status, screen)
    screen.table(
        ("model", "revision", "champion", "acting", *_DECLARED_PARTS, "standby", "blocked"),
        [
            (
                each.model,
                str(each.revision),
                f"@{each.champion}",
                _acting(each, status),
                *[value for _, value in deployment_parts(each)[1:4]],
                _standby(each),
                ", ".join(f"@{number}" for number in each.blocked),
            )
            for each in status.deployments
        ],
        title="declared",
    )
    _print_approvals(status, screen)
    print_contracts(status.deployments, screen)
    screen.table(
        ("scorer", "state", "address", "loaded", "restarts", "host", "last error"),
        [
            (
                f"{ref_from_wire(each.ref)}/{each.replica}",
                shown_name(pb.ScorerState.Name(each.state), "SCORER_STATE"),
                each.address,
                _loaded(each),
                str(each.restarts),
                each.host_id,
                each.last_error,
            )
            for each in status.scorers
        ],
        title="scorers",
    )
    for each in status.scorers:
        if each.loaded_digest and each.loaded_digest != each.artifact_digest:
            screen.say((_alarm(each), "red"))
    for text in status.unplaced:
        screen.say((text, "red"))
    _print_placements(status, screen)
    if silent := [host for host in status.hosts if host.news == pb.NEWS_SILENT]:
        screen.table(
            ("silent host", "last report"),
            [(host.host_id, shown_time(host.silent_since)) for host in silent],
            title="no news: their scorers stay in use while they answer",
        )
    screen.table(
        ("router", "model", "revision", "champion", "live weights", "withheld", "reported"),
        [
            (
                router.router_id,
                model.model,
                str(model.revision),
                f"@{model.champion}" if model.HasField("champion") else "none",
                shown_shares((c.version, c.weight_bp) for c in model.effective),
                _withheld(model),
                _reported(router),
            )
            for router in status.routers
            for model in router.models
        ],
        title="routers",
    )
    _print_targets(status, screen)
    for name, belief in _beliefs(status):
        if belief.HasField("refusal"):
            screen.say((f"{name} {refusal_from_wire(belief.refusal)}", "red"))


def _withheld(model: pb.RouterModelState) -> str:
    state = model_state_from_wire(model)
    return "; ".join([*map(str, state.withheld), *state.lost_reserves])


def _print_placements(status: pb.GetStatusResponse, screen: Screen) -> None:
    """Print the hosts with a placement of their own; the others run every model."""
    placed = [each for each in status.hosts if each.placement.models or each.placement.labels]
    if placed:
        screen.table(
            ("host", "models", "labels"),
            [
                (
                    each.host_id,
                    ", ".join(each.placement.models) or "all",
                    ", ".join(each.placement.labels),
                )
                for each in placed
            ],
            title="placement",
        )


def _print_approvals(status: pb.GetStatusResponse, screen: Screen) -> None:
    rows = [
        (str(ref_from_wire(each.ref)), approval_text(each.approval)) for each in status.approvals
    ]
    if rows:
        screen.table(("version", "approvals"), rows, title="approvals")


def _print_targets(status: pb.GetStatusResponse, screen: Screen) -> None:
    """Print the latest review of rollback targets; a broken one is highlighted below the table."""
    if not status.deployments:
        return
    reviews = {each.model: each for each in status.rollback_reviews}
    screen.table(
        ("model", "ready", "broken", "reviewed"),
        [_review_row(each, reviews.get(each.model)) for each in status.deployments],
        title="rollback targets",
    )
    for review in status.rollback_reviews:
        for target in review.targets:
            for fault in target.faults:
                name = f"{review.model} cannot return to revision {target.revision}"
                screen.say((f"{name}: {fault}", "red"))


def _review_row(
    deployment: pb.Deployment, review: pb.RollbackReview | None
) -> tuple[object, object, object, object]:
    if review is None:
        return deployment.model, "", "", "not yet"
    ready, broken = (
        ", ".join(
            f"{each.revision}{' (default)' if each.is_default else ''}"
            for each in review.targets
            if bool(each.faults) is are_broken
        )
        for are_broken in (False, True)
    )
    at = shown(shown_time(review.reviewed_at))
    behind = review.current_revision != deployment.revision
    when = f"{at}, at revision {review.current_revision}" if behind else at
    return deployment.model, ready or "none", broken or "none", when


def _beliefs(status: pb.GetStatusResponse) -> Iterator[tuple[str, pb.WatcherBelief]]:
    yield from ((each.router_id, each.belief) for each in status.routers)
    yield from ((each.host_id, each.belief) for each in status.host_beliefs)


def _loaded(process: pb.ScorerProcess) -> str:
    """Return the artifact that a process reports as loaded, highlighted if it is not the declared."""
    loaded = process.loaded_digest[:DIGEST_SHOWN]
    if not loaded or process.loaded_digest == process.artifact_digest:
        return loaded
    return f"{loaded}, NOT {process.artifact_digest[:DIGEST_SHOWN]}: not used"


def _print_review(status: pb.GetStatusResponse, screen: Screen) -> None:
    review = status.review
    if not status.HasField("review"):
        screen.say("database: not compared with the audit log yet")
    elif not review.fault_count:
        at = shown(shown_time(review.at))
        screen.say(f"database: as recorded in {review.audit_rows} rows of the audit log, {at}")
    for fault in review.faults:
        screen.say((f"ALARM: the registry is not intact: {fault}", "red"))
    if (more := review.fault_count - len(review.faults)) > 0:
        screen.say((f"and {more} more faults: understudy registry audit verify", "red"))


def _alarm(process: pb.ScorerProcess) -> str:
    return (
        f"ALARM: the scorer of {process.ref.model}@{process.ref.number} on {process.host_id} loaded "
        "another artifact than the registered one; routers do not use it"
    )


def _standby(deployment: pb.Deployment) -> str:
    return ", ".join(f"@{number}" for number in deployment.standby)


def parts_of(ref: pb.VersionRef, status: pb.GetStatusResponse) -> list[str]:
    """Return the parts of a version: those that its deployment declares, and the one it acts in."""
    declared = [
        part
        for each in status.deployments
        if each.model == ref.model
        for part in declared_parts(each, ref.number)
    ]
    acting = [
        f"acts as champion: {_acting(deployment, status)}"
        for deployment in status.deployments
        for each in status.acting
        if deployment.model == each.model == ref.model and each.version == ref.number
    ]
    return [*declared, *acting]


def declared_parts(deployment: pb.Deployment, number: int) -> Iterator[str]:
    if deployment.champion == number:
        yield "champion"
    for name, shares in (
        ("challenger", [(c.version, c.weight_bp) for c in deployment.challengers]),
        ("shadow", [(s.version, s.sample_bp) for s in deployment.shadows]),
    ):
        mark = own_mark(deployment, number)
        yield from (f"{name} {bp / 100:g}%{mark}" for version, bp in shares if version == number)
    if deployment.fallback.HasField("version") and deployment.fallback.version == number:
        yield "fallback"
    if number in deployment.standby:
        yield "standby"
    if number in deployment.blocked:
        yield "blocked"


def _acting(deployment: pb.Deployment, status: pb.GetStatusResponse) -> str:
    """Return the version that acts as champion, and why it is not the declared one."""
    found = [each for each in status.acting if each.model == deployment.model]
    if not found:
        return "not reported"
    acting = acting_from_wire(found[0])
    since = shown(shown_time(found[0].since))
    if acting.because is None:
        return f"@{acting.version} since {since}"
    errors = [
        each.last_error
        for each in status.scorers
        if (each.ref.model, each.ref.number) == (deployment.model, deployment.champion)
        and each.last_error
    ]
    why = f": {errors[0]}" if errors else ""
    return f"@{acting.version} since {since}, because {acting.because.of(deployment.champion)}{why}"


def _reported(router: pb.ObservedRouter) -> str:
    at = shown(shown_time(router.reported_at))
    return f"{at}, silent" if router.news == pb.NEWS_SILENT else at
