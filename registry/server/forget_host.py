"""The end of a silent scorer host: an operator says for it that none of its scorers runs."""

from collections.abc import Callable
from datetime import datetime

import structlog
from sqlalchemy import Engine

from registry.server.callers import actor_of, checked_reason, log_facts
from registry.server.live_state import LiveState
from registry.server.report_sizes import size_of_scorers_report
from registry.store import audit_log
from registry.store.database import writing
from understudy.control.report_wire import scorer_to_wire
from understudy.domain.canonical import canonical_json
from understudy.domain.changes import Action
from understudy.domain.errors import NotFoundError, RefusedError
from understudy.domain.instants import unix_ns
from understudy.domain.reports import ScorersReport
from understudy.domain.snapshots import News
from understudy.registry.v1 import registry_pb2 as pb
from understudy.runtime.rpc_boundary import Context, peer_of

_log = structlog.get_logger()


async def forget_host(
    request: pb.ForgetHostRequest,
    context: Context,
    live: LiveState,
    *,
    engine: Engine,
    now: Callable[[], datetime],
) -> pb.ForgetHostResponse:
    """Let the scorers of a silent host leave the state, and record that.

    An empty report takes the place of its last one: routers keep the scorers of hosts that a
    snapshot does not mention, so the host must be mentioned.

    Raises:
        PermissionRefusedError: the call names no actor.
        InvalidInputError: the reason is invalid.
        NotFoundError: no report of that host is known.
        RefusedError: it reports; then it can be stopped itself.
    """
    actor = actor_of(context)
    reason = checked_reason(request.reason)
    heard = live.observed.host(request.host_id)
    if heard is None:
        raise NotFoundError("report of scorer host", request.host_id)
    if heard.news is not News.SILENT:
        raise RefusedError(f"scorer host {request.host_id} reports; stop it instead")
    gone = [scorer_to_wire(each) for each in heard.report.processes]
    if request.dry_run:
        state = live.snapshot
        return pb.ForgetHostResponse(scorers=gone, lineage=state.lineage, sequence=state.sequence)

    def record() -> str:
        details = {"host_id": request.host_id, "scorers": len(gone)}
        event = audit_log.Event(
            at_ns=unix_ns(now()),
            actor=actor,
            action=Action.FORGET_HOST,
            model="",
            reason=reason,
            details_json=canonical_json(details),
        )
        with writing(engine) as connection:
            return audit_log.append(connection, event)

    digest = await live.run(record)
    nothing = ScorersReport(request.host_id, ())
    await live.report_scorers(nothing, peer_of(context), size_of_scorers_report(nothing))
    _log.info(
        "scorer_host_forgotten",
        host_id=request.host_id,
        **log_facts(actor),
        audit_digest=digest,
    )
    return pb.ForgetHostResponse(
        scorers=gone,
        applied=True,
        lineage=live.snapshot.lineage,
        sequence=live.snapshot.sequence,
    )
