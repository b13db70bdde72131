"""Operators' commands of the router: serve, status, drill, explain, assign."""

import json
import os
import sys
from pathlib import Path
from socket import gethostname
from typing import Annotated

import grpc
import structlog
import typer
from rich.console import Console

from router.cli.ask_workers import Answers, ask_workers, exit_code_of, get_status
from router.cli.assign_offline import assigned_arms, fetch_deployment, read_deployment
from router.cli.status_output import OutputForm, plain, print_explained, print_status
from router.ladder.drill import parse_duration_s
from router.settings import RouterSettings
from understudy.control.identity import ACTOR_KEY, default_actor
from understudy.control.wire_enums import LEVELS as WIRE_LEVELS
from understudy.domain.deployments import DegradationLevel
from understudy.domain.errors import InvalidInputError, UnderstudyError
from understudy.registry.v1 import registry_pb2, registry_pb2_grpc
from understudy.router.v1 import router_pb2
from understudy.runtime.command_line import CommandGroup
from understudy.runtime.exit_codes import DATA_ERROR, FAILED, OK, UNAVAILABLE, USAGE
from understudy.runtime.lifecycle import run, stop_on_signals
from understudy.runtime.logs import configure_logs
from understudy.runtime.settings import load_settings
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
DEFAULT_REGISTRY = "127.0.0.1:8500"
Output = Annotated[OutputForm, typer.Option(help="How to print.")]


@app.command()
def serve(
    listen: Annotated[str | None, typer.Option(help="HOST:PORT of all workers.")] = None,
    registry: Annotated[str | None, typer.Option(help="HOST:PORT of the registry.")] = None,
    features: Annotated[
        str | None, typer.Option(help="lmdb:PATH or aerospike://HOST:PORT/NAMESPACE")
    ] = None,
    log_dir: Annotated[Path | None, typer.Option(help="Where score and shadow logs go.")] = None,
    state_dir: Annotated[Path | None, typer.Option(help="Last snapshot, admin sockets.")] = None,
    workers: Annotated[int | None, typer.Option(help="Worker processes on the port.")] = None,
    metrics_port: Annotated[int | None, typer.Option(help="Prometheus; worker i adds i.")] = None,
    *,
    print_settings: Annotated[bool, typer.Option(help="Show them and end.")] = False,
) -> None:
    """Serve `Score`, `ScoreBatch` and `ScoreStream`. Settings: options over ROUTER_* variables."""
    from router.workers import supervise  # noqa: PLC0415 - the other commands do without it

    given = {
        "listen": listen,
        "registry": registry,
        "features": features,
        "log_dir": log_dir,
        "state_dir": state_dir,
        "workers": workers,
        "metrics_port": metrics_port,
    }
    settings = load_settings(RouterSettings, given, print_and_exit=print_settings)
    configure_logs("router", level=settings.log_level)
    sys.exit(run(lambda: supervise(settings)))


@app.command(hidden=True)
def worker(
    index: Annotated[int, typer.Option()],
    listen: Annotated[str, typer.Option()],
) -> None:
    """Serve as one worker of `serve`, which passes the settings on as ROUTER_* variables."""
    from router.app import serve as serve_worker  # noqa: PLC0415 - the other commands start faster

    os.umask(0o077)  # logs and the last snapshot are nobody else's
    settings = load_settings(RouterSettings, {"listen": listen})
    configure_logs(f"router-{index}", level=settings.log_level)

    async def main() -> int:
        exit_code = OK
        try:
            await serve_worker(settings, index, stop_on_signals())
        except* UnderstudyError as group:  # a task group puts what is raised in it into one
            exit_code = FAILED
            for error in _leaves(group):
                _log.error("worker_not_started", why=str(error))
        return exit_code

    sys.exit(run(main))


@app.command()
def status(state_dir: StateDir = Path("router"), output: Output = OutputForm.TABLE) -> None:
    """Show what each worker serves, answered, mirrored and logged, and what is in trouble."""
    answers = ask_workers(state_dir, get_status)
    found = [answer for answer in answers.by_worker.values() if answer is not None]
    if output is OutputForm.JSON:
        typer.echo(json.dumps([plain(each) for each in found], indent=2))
    else:
        print_status(Console(soft_wrap=True), found)
    _complain(answers)


@app.command()
def drill(
    level: Annotated[str, typer.Option(help="L1, L2 or L3; L0 ends a drill.")],
    reason: Annotated[str, typer.Option(help="Why; goes to the audit log.")],
    lasting: Annotated[str, typer.Option("--for", help="How long: 30s, 5m, or seconds.")] = "30s",
    state_dir: StateDir = Path("router"),
    registry: Registry = DEFAULT_REGISTRY,
    *,
    allow_errors: Annotated[
        bool, typer.Option(help="Drill models without a fallback too: their calls fail.")
    ] = False,
) -> None:
    """Answer from a lower level of the ladder for a while, in every worker of this router.

    Every worker is asked first whether it would start; then comes the registry's audit log; only
    then does it start. A worker that is restarted meanwhile starts without the drill.
    """
    if level not in _LEVELS:
        typer.echo(f"level: read {level!r}; accepted: {', '.join(_LEVELS)}", err=True)
        raise typer.Exit(USAGE)
    try:
        seconds = parse_duration_s(lasting)
    except InvalidInputError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(USAGE) from error
    request = router_pb2.StartDrillRequest(
        level=WIRE_LEVELS[_LEVELS[level]],
        duration_s=seconds,
        actor=default_actor(),
        reason=reason,
        allow_errors=allow_errors,
    )
    asked = router_pb2.StartDrillRequest(dry_run=True)
    asked.MergeFrom(request)
    _complain(ask_workers(state_dir, lambda stub: stub.StartDrill(asked, timeout=5.0)))
    digest = _record_drill(registry, request, state_dir)
    started = ask_workers(state_dir, lambda stub: stub.StartDrill(request, timeout=5.0))
    for answer in started.by_worker.values():
        if answer is not None:
            what = "the drill has ended" if level == "L0" else f"{level} for {seconds:.0f} s"
            typer.echo(f"{answer.router_id}: {what}")
    typer.echo(f"recorded in the audit log: {digest}")
    _complain(started)


@app.command()
def explain(
    model: Annotated[str, typer.Argument(help="Model name.")],
    unit_key: Annotated[str, typer.Argument(help="What sticks to an arm, e.g. the entity id.")],
    router: Annotated[
        str, typer.Option(help="HOST:PORT of the router.", envvar="UNDERSTUDY_ROUTER")
    ] = "127.0.0.1:8400",
    output: Output = OutputForm.TABLE,
) -> None:
    """Say which arm a unit key is assigned to, who answers for it now, and with which shares."""
    with grpc.insecure_channel(router) as channel:
        stub = scoring_pb2_grpc.ScoringServiceStub(channel)
        try:
            found = stub.ExplainAssignment(
                scoring_pb2.ExplainAssignmentRequest(model=model, unit_key=unit_key), timeout=5.0
            )
        except grpc.RpcError as error:
            typer.echo(f"{error.code().name}: {error.details()}", err=True)
            raise typer.Exit(exit_code_of(error.code())) from error
    if output is OutputForm.JSON:
        typer.echo(json.dumps(plain(found), indent=2))
        return
    print_explained(Console(soft_wrap=True), unit_key, found)


@app.command()
def assign(
    model: Annotated[str, typer.Argument(help="Model name; none with --deployment.")] = "",
    deployment: Annotated[
        Path | None, typer.Option(help="A revision as JSON, instead of the registry's.")
    ] = None,
    revision: Annotated[
        int | None,
        typer.Option(min=1, max=2**63 - 1, help="Of the registry [the current one]."),
    ] = None,
    registry: Registry = DEFAULT_REGISTRY,
) -> None:
    """Print the arm of each unit key, a line of standard input, by the rule that routers use.

    No router is asked. Tabs separate key, arm and version. It is the declared arm: while a version
    is not ready, another one answers for it (`explain` says which).
    """
    if bool(model) == (deployment is not None):
        typer.echo("read both or none of MODEL and --deployment; accepted: one of them", err=True)
        raise typer.Exit(USAGE)
    try:
        declared = (
            read_deployment(deployment)
            if deployment is not None
            else fetch_deployment(registry, model, revision)
        )
        for unit_key, arm in assigned_arms(declared, sys.stdin.buffer):
            sys.stdout.write(f"{unit_key}\t{arm.arm.value}\t{arm.version}\n")
    except grpc.RpcError as error:
        typer.echo(f"registry: {error.code().name}: {error.details()}", err=True)
        raise typer.Exit(exit_code_of(error.code())) from error
    except InvalidInputError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(DATA_ERROR) from error


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


def _record_drill(registry: str, request: router_pb2.StartDrillRequest, state_dir: Path) -> str:
    """Put the drill into the audit log and return the row's digest; exits when that fails."""
    record = registry_pb2.RecordDrillRequest(
        router=f"{gethostname()}:{state_dir.resolve()}"[-_LONGEST_ROUTER_NAME:],
        level=request.level,
        duration_s=request.duration_s,
        reason=request.reason,
    )
    with grpc.insecure_channel(registry) as channel:
        stub = registry_pb2_grpc.RegistryServiceStub(channel)
        try:
            recorded = stub.RecordDrill(record, timeout=5.0, metadata=((ACTOR_KEY, request.actor),))
        except grpc.RpcError as error:
            typer.echo(f"not started: registry: {error.code().name}: {error.details()}", err=True)
            raise typer.Exit(exit_code_of(error.code())) from error
    return recorded.audit_digest


def _complain(answers: Answers) -> None:
    """Say what workers refused or did not answer, and exit for it."""
    for worker, error in answers.failed.items():
        typer.echo(f"{worker}: {error.code().name}: {error.details()}", err=True)
    if answers.failed:
        raise typer.Exit(max(exit_code_of(error.code()) for error in answers.failed.values()))
    if not answers.by_worker:
        typer.echo("no worker answers here; is it the router's --state-dir?", err=True)
        raise typer.Exit(UNAVAILABLE)
