"""Operators' commands of the router: serve, status, drill, explain."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from socket import gethostname
from typing import TYPE_CHECKING, Annotated, Any

import grpc
import structlog
import typer
from google.protobuf.json_format import MessageToDict
from rich.console import Console
from rich.table import Table

from domain.deployments import DegradationLevel
from domain.errors import UnderstudyError
from router.settings import RouterSettings
from runtime.exit_codes import FAILED, OK, UNAVAILABLE, USAGE
from runtime.identity import ACTOR_KEY, default_actor
from runtime.lifecycle import die_with_parent, run, stop_on_signals
from runtime.logs import configure_logs
from runtime.settings import load_settings
from understudy.v1 import (
    registry_pb2,
    registry_pb2_grpc,
    router_pb2,
    router_pb2_grpc,
    scoring_pb2,
    scoring_pb2_grpc,
)

app = typer.Typer(no_args_is_help=True, help="Route scoring calls to champion and challengers.")
_LEVELS = {
    "L0": DegradationLevel.FULL,
    "L2": DegradationLevel.FALLBACK,
    "L3": DegradationLevel.CONSTANT,
}
_LONGEST_ROUTER_NAME = 300
_log = structlog.get_logger()

if TYPE_CHECKING:  # the generated stub of grpc.aio exists for type checkers only
    from understudy.v1.router_pb2_grpc import RouterAdminServiceAsyncStub as Stub
else:
    Stub = Any

StateDir = Annotated[Path, typer.Option(help="The router's state directory.")]
Output = Annotated[str, typer.Option(help="table or json")]


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

    die_with_parent()
    settings = load_settings(RouterSettings, {"listen": listen})
    configure_logs(f"router-{index}", level=settings.log_level)

    async def main() -> int:
        try:
            await serve_worker(settings, index, stop_on_signals())
        except UnderstudyError as error:
            _log.error("worker_not_started", why=str(error))
            return FAILED
        return OK

    sys.exit(run(main))


@app.command()
def status(state_dir: StateDir = Path("router"), output: Output = "table") -> None:
    """Show what each worker serves, answered, mirrored and logged."""
    found = [each for _, each in _ask_workers(state_dir, _get_status)]
    if output == "json":
        typer.echo(json.dumps([_plain(each) for each in found], indent=2))
        return
    console = Console()
    console.print(_answers_table(found))
    for each in found:
        for model in each.models:
            console.print(
                f"{each.router_id}: {model.model} revision {model.revision}, champion "
                f"{model.champion}; {'; '.join(model.withheld) or 'all parts act'}"
            )
        if each.drill:
            console.print(f"{each.router_id}: drill {each.drill}")


@app.command()
def drill(
    level: Annotated[str, typer.Option(help="L2 or L3; L0 ends a drill.")],
    reason: Annotated[str, typer.Option(help="Why; goes to the audit log.")],
    seconds: Annotated[float, typer.Option("--for", help="How long, in seconds.")] = 30.0,
    state_dir: StateDir = Path("router"),
    registry: Annotated[
        str, typer.Option(help="HOST:PORT of the registry.", envvar="UNDERSTUDY_REGISTRY")
    ] = "127.0.0.1:8500",
) -> None:
    """Answer from a lower level of the ladder for a while, in every worker of this router.

    The registry's audit log comes first: an exercise that cannot be recorded does not start.
    """
    if level not in _LEVELS:
        typer.echo(f"level: read {level!r}; accepted: {', '.join(_LEVELS)}", err=True)
        raise typer.Exit(USAGE)
    actor = default_actor()
    request = router_pb2.StartDrillRequest(
        level=scoring_pb2.DegradationLevel.ValueType(_LEVELS[level].value),
        duration_s=seconds,
        actor=actor,
        reason=reason,
    )
    _ask_workers(state_dir, _get_status)  # nothing is recorded for a router that is not there
    record = registry_pb2.RecordDrillRequest(
        router=f"{gethostname()}:{state_dir.resolve()}"[-_LONGEST_ROUTER_NAME:],
        level=level,
        duration_s=seconds,
        reason=reason,
    )
    with grpc.insecure_channel(registry) as channel:
        stub = registry_pb2_grpc.RegistryServiceStub(channel)
        try:
            recorded = stub.RecordDrill(record, timeout=5.0, metadata=((ACTOR_KEY, actor),))
        except grpc.RpcError as error:
            typer.echo(f"not started: registry: {error.code().name}: {error.details()}", err=True)
            raise typer.Exit(UNAVAILABLE) from error
    for _, answer in _ask_workers(state_dir, lambda stub: stub.StartDrill(request, timeout=5.0)):
        typer.echo(f"{answer.router_id}: {level} for {seconds:.0f} s")
    typer.echo(f"recorded in the audit log: {recorded.audit_digest}")


@app.command()
def explain(
    model: Annotated[str, typer.Argument(help="Model name.")],
    unit_key: Annotated[str, typer.Argument(help="What sticks to an arm, e.g. the entity id.")],
    router: Annotated[str, typer.Option(help="HOST:PORT of the router.")] = "127.0.0.1:8400",
    output: Output = "table",
) -> None:
    """Say which arm answers a unit key, and with which shares."""
    with grpc.insecure_channel(router) as channel:
        stub = scoring_pb2_grpc.ScoringServiceStub(channel)
        try:
            found = stub.ExplainAssignment(
                scoring_pb2.ExplainAssignmentRequest(model=model, unit_key=unit_key), timeout=5.0
            )
        except grpc.RpcError as error:
            typer.echo(f"{error.code().name}: {error.details()}", err=True)
            raise typer.Exit(UNAVAILABLE) from error
    if output == "json":
        typer.echo(json.dumps(_plain(found), indent=2))
        return
    arm = scoring_pb2.Arm.Name(found.arm).removeprefix("ARM_").lower()
    typer.echo(f"{unit_key} -> {arm} {model}@{found.version} (revision {found.revision})")
    table = Table("arm", "version", "declared bp", "acting bp", "withheld because")
    for share in found.shares:
        name = scoring_pb2.Arm.Name(share.arm).removeprefix("ARM_").lower()
        table.add_row(
            name,
            str(share.version),
            str(share.declared_bp),
            str(share.effective_bp),
            share.withheld_because,
        )
    Console().print(table)


async def _get_status(stub: Stub) -> Any:
    return await stub.GetRouterStatus(router_pb2.GetRouterStatusRequest(), timeout=5.0)


def _ask_workers(state_dir: Path, ask: Callable[[Stub], Awaitable[Any]]) -> list[tuple[Path, Any]]:
    """Ask every worker over its admin socket; exits with 69 when none answers."""
    sockets = sorted(state_dir.resolve().glob("worker-*.sock"))

    async def ask_all() -> list[tuple[Path, Any]]:
        answers: list[tuple[Path, Any]] = []
        for path in sockets:
            async with grpc.aio.insecure_channel(f"unix:{path}") as channel:
                stub = router_pb2_grpc.RouterAdminServiceStub(channel)
                try:
                    answers.append((path, await ask(stub)))
                except grpc.aio.AioRpcError as error:
                    typer.echo(f"{path.name}: {error.code().name}: {error.details()}", err=True)
        return answers

    answers = asyncio.run(ask_all())
    if not answers:
        typer.echo(f"no worker answers below {state_dir}", err=True)
        raise typer.Exit(UNAVAILABLE)
    return answers


def _answers_table(found: list[Any]) -> Table:
    table = Table("router", "model", "version", "arm", "level", "rows")
    for each in found:
        for row in each.answered:
            table.add_row(
                each.router_id, row.model, str(row.version), row.arm, f"L{row.level}", str(row.rows)
            )
    return table


def _plain(message: Any) -> dict[str, Any]:
    return MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
