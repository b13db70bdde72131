"""The operators' commands of the router: serve, status, drill, explain, assign."""

import sys
from pathlib import Path
from socket import gethostname
from typing import Annotated

import grpc
import structlog
import typer

from router.cli.ask_workers import ask_workers, get_status
from router.cli.assign_offline import assigned_arms, fetch_deployment, read_deployment
from router.cli.status_output import print_explained, print_status
from router.ladder.drill import parse_duration_s
from router.settings import RouterSettings
from understudy.control.access import access_of_environment
from understudy.control.client import DEFAULT_REGISTRY, RegistryClient
from understudy.control.identity import default_actor
from understudy.control.wire_enums import LEVELS as WIRE_LEVELS
from understudy.domain.deployments import DegradationLevel
from understudy.domain.errors import Fault, InvalidInputError, UnderstudyError
from understudy.features.stores import check_store
from understudy.registry.v1 import registry_pb2
from understudy.router.v1 import router_pb2
from understudy.runtime.command_line import CommandGroup
from understudy.runtime.front.choice import Front
from understudy.runtime.grpc_errors import error_of_call
from understudy.runtime.lifecycle import run, stop_on_signals
from understudy.runtime.logs import configure_logs
from understudy.runtime.settings import load_settings, show_settings
from understudy.runtime.terminal.json_output import print_json, print_json_lines
from understudy.runtime.terminal.output_option import Format, Output
from understudy.runtime.terminal.plain_text import harmless
from understudy.runtime.terminal.screen import Screen
from understudy.scoring.v1 import scoring_pb2, scoring_pb2_grpc

app = typer.Typer(
    cls=CommandGroup, no_args_is_help=True, help="Route scoring calls to champion and challengers."
)
_LEVELS = {
    "L0": DegradationLevel.FULL,
    "L1": DegradationLevel.FEATURES,
    "L2": DegradationLevel.FALLBACK,
    "L3": DegradationLevel.CONSTANT,
}
_LONGEST_ROUTER_NAME = 300
_log = structlog.get_logger()


StateDir = Annotated[
    Path,
    typer.Option(help="The router's state directory.", envvar="UNDERSTUDY_ROUTER_STATE_DIR"),
]
Registry = Annotated[
    str, typer.Option(help="HOST:PORT of the registry.", envvar="UNDERSTUDY_REGISTRY")
]


@app.command()
def serve(
    listen: Annotated[str | None, typer.Option(help="HOST:PORT of all workers.")] = None,
    registry: Annotated[
        str | None, typer.Option(help="HOST:PORT of the registry, or several separated by commas.")
    ] = None,
    features: Annotated[
        str | None, typer.Option(help="lmdb:PATH or aerospike://HOST:PORT/NAMESPACE")
    ] = None,
    log_dir: Annotated[Path | None, typer.Option(help="Folder for score and shadow logs.")] = None,
    state_dir: Annotated[
        Path | None, typer.Option(help="Folder for last snapshot and admin sockets.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Worker processes on the port.")] = None,
    metrics_port: Annotated[
        int | None, typer.Option(help="Prometheus port; worker i adds i.")
    ] = None,
    *,
    print_settings: Annotated[
        bool, typer.Option("--print-settings", help="Print the settings and exit.")
    ] = False,
    output: Output = Format.TABLE,
) -> None:
    """Serve `Score`, `ScoreBatch` and `ScoreStream`. Settings: options over ROUTER_* variables."""
    from router.workers import supervise  # noqa: PLC0415 - not needed by the other commands

    given = {
        "listen": listen,
        "registry": registry,
        "features": features,
        "log_dir": log_dir,
        "state_dir": state_dir,
        "workers": workers,
        "metrics_port": metrics_port,
    }
    settings = load_settings(RouterSettings, given)
    if print_settings:
        show_settings(settings, output)
        return
    check_store(settings.features)
    configure_logs("router", level=settings.log_level)
    sys.exit(run(lambda: supervise(settings)))


@app.command(hidden=True)
def worker(
    index: Annotated[int, typer.Option()],
    listen: Annotated[str, typer.Option()],
    front: Annotated[Front, typer.Option()],
) -> None:
    """Serve as one worker of `serve`, which passes the settings on as ROUTER_* variables."""
    from router.worker import configure_worker_logs, run_worker  # noqa: PLC0415 - the other commands start faster

    settings = load_settings(RouterSettings, {"listen": listen})
    configure_worker_logs(settings, index)
    if front is Front.ENVOY:
        from router.embedded import become_envoy_worker  # noqa: PLC0415 - as above

        become_envoy_worker(settings, index)

    async def main() -> int:
        stop = stop_on_signals(longest_s=settings.stop_limit_s)
        return await run_worker(settings, index, stop)

    sys.exit(run(main))


@app.command(hidden=True)
def ship() -> None:
    """Ship the logs as the process of `serve` for it, which passes the settings on."""
    from router.shipper import run_shipper  # noqa: PLC0415 - the other commands start faster

    settings = load_settings(RouterSettings, {})
    configure_logs("router-shipper", level=settings.log_level)

    async def main() -> int:
        return await run_shipper(settings, stop_on_signals(longest_s=settings.last_shipping_s))

    sys.exit(run(main))


@app.command()
def status(state_dir: StateDir, output: Output = Format.TABLE) -> None:
    """Show the state, answers, mirrors and logs of each worker, and any problems."""
    answers = ask_workers(state_dir, get_status)
    print_status(list(answers.by_worker.values()), output)
    answers.require_all()


@app.command()
def drill(
    level: Annotated[str, typer.Option(help="L1, L2 or L3; L0 ends a drill.")],
    reason: Annotated[str, typer.Option(help="The reason, for the audit log.")],
    state_dir: StateDir,
    lasting: Annotated[str, typer.Option("--for", help="Duration: 30s, 5m, or seconds.")] = "30s",
    registry: Registry = DEFAULT_REGISTRY,
    *,
    allow_errors: Annotated[
        bool, typer.Option(help="Drill models without a fallback too: their calls fail.")
    ] = False,
    output: Output = Format.TABLE,
) -> None:
    """Answer from a lower level of the ladder for a limited time, in every worker of this router.

    First every worker is asked whether it would start the drill; then it is recorded in the
    registry's audit log; only then does it start. A worker restarted meanwhile starts without it.
    """
    if level not in _LEVELS:
        raise InvalidInputError([Fault("--level", level, ", ".join(_LEVELS))])
    seconds = parse_duration_s(lasting)
    actor = default_actor()
    request = router_pb2.StartDrillRequest(
        level=WIRE_LEVELS[_LEVELS[level]],
        duration_s=seconds,
        actor=actor,
        reason=reason,
        allow_errors=allow_errors,
    )
    asked = router_pb2.StartDrillRequest(dry_run=True)
    asked.MergeFrom(request)
    ask_workers(state_dir, lambda stub: stub.StartDrill(asked, timeout=5.0)).require_all()
    record = registry_pb2.RecordDrillRequest(
        router=f"{gethostname()}:{state_dir.resolve()}"[-_LONGEST_ROUTER_NAME:],
        level=request.level,
        duration_s=seconds,
        reason=reason,
    )
    try:
        with RegistryClient(registry, actor=actor) as client:
            digest = client.record_drill(record).audit_digest
    except UnderstudyError as error:
        error.add_note("the drill was not started")
        raise
    started = ask_workers(state_dir, lambda stub: stub.StartDrill(request, timeout=5.0))
    routers = [answer.router_id for answer in started.by_worker.values()]
    if output is Format.JSON:
        print_json({"level": level, "for_s": seconds, "routers": routers, "audit_digest": digest})
    else:
        what = "the drill has ended" if level == "L0" else f"{level} for {seconds:.0f} s"
        for router in routers:
            Screen().say(f"{router}: {what}")
        Screen().say(f"recorded in the audit log: {digest}")
    started.require_all()


@app.command()
def explain(
    model: Annotated[str, typer.Argument(help="Model name.")],
    unit_key: Annotated[
        str, typer.Argument(help="The key that sticks to an arm, e.g. the entity id.")
    ],
    router: Annotated[
        str, typer.Option(help="HOST:PORT of the router.", envvar="UNDERSTUDY_ROUTER")
    ] = "127.0.0.1:8400",
    output: Output = Format.TABLE,
) -> None:
    """Show the arm of a unit key, the version that answers for it now, and the shares."""
    request = scoring_pb2.ExplainAssignmentRequest(model=model, unit_key=unit_key)
    with access_of_environment(router).open_blocking_channel(router, named="router") as channel:
        stub = scoring_pb2_grpc.ScoringServiceStub(channel)
        try:
            found = stub.ExplainAssignment(request, timeout=5.0)
        except grpc.RpcError as error:
            dependency = f"router {router}"
            raise error_of_call(error, dependency=dependency) from error
    print_explained(unit_key, found, output)


@app.command()
def assign(
    model: Annotated[str, typer.Argument(help="Model name; none with --deployment.")] = "",
    deployment: Annotated[
        Path | None, typer.Option(help="A revision as JSON, instead of the registry's.")
    ] = None,
    revision: Annotated[
        int | None,
        typer.Option(min=1, max=2**63 - 1, help="Revision from the registry [the current one]."),
    ] = None,
    registry: Registry = DEFAULT_REGISTRY,
    output: Output = Format.TABLE,
) -> None:
    """Print the arm of each unit key, one per line of standard input, by the routers' rule.

    No router is contacted. Tabs separate key, arm and version, or each line is a JSON object. It is
    the declared arm: while a version is not ready, another one answers for it (see `explain`).
    """
    if bool(model) == (deployment is not None):
        read = "both" if model else "neither"
        raise InvalidInputError([Fault("MODEL, --deployment", read, "one of them")])
    declared = (
        read_deployment(deployment)
        if deployment is not None
        else fetch_deployment(registry, model, revision)
    )
    assigned = assigned_arms(declared, sys.stdin.buffer)
    if output is Format.JSON:
        print_json_lines(
            {"unit_key": unit_key, "arm": arm.arm, "version": arm.version}
            for unit_key, arm in assigned
        )
        return
    for unit_key, arm in assigned:
        sys.stdout.write(f"{harmless(unit_key)}\t{arm.arm.value}\t{arm.version}\n")
