"""`understudy scorer ...`: the commands."""

import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from scorer.settings import HostSettings, ScorerSettings
from understudy.domain.errors import InvalidInputError, UnavailableError
from understudy.domain.versions import VersionRef, checked_model_name
from understudy.runtime.exit_codes import UNAVAILABLE, USAGE
from understudy.runtime.lifecycle import run
from understudy.runtime.logs import configure_logs
from understudy.runtime.settings import load_settings

app = typer.Typer(
    help="Serve model versions over the Open Inference Protocol.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

_OURS_ALONE = 0o077  # files that we create are accessible only to our user

PrintSettings = Annotated[
    bool, typer.Option("--print-settings", help="print the settings and exit")
]


@app.command()
def serve(  # noqa: PLR0917 - options of a command line
    artifact: Annotated[Path, typer.Argument(help="a folder with model.onnx, or an .onnx file")],
    name: Annotated[str, typer.Option(help="model name in clients' requests")],
    version_number: Annotated[int, typer.Option(min=1)] = 1,
    listen: Annotated[str | None, typer.Option(help="host:port or unix:/path")] = None,
    metrics_port: Annotated[int | None, typer.Option(help="Prometheus, on loopback")] = None,
    print_settings: PrintSettings = False,  # noqa: FBT002 - a command-line flag
    expect: Annotated[Path | None, typer.Option(hidden=True)] = None,
    status_file: Annotated[Path | None, typer.Option(hidden=True)] = None,
    cpus: Annotated[int | None, typer.Option(min=1, hidden=True)] = None,
) -> None:
    """Serve one model version until SIGTERM. Needs no registry."""
    os.umask(_OURS_ALONE)
    settings = load_settings(
        ScorerSettings,
        {"listen": listen, "metrics_port": metrics_port},
        print_and_exit=print_settings,
    )
    # Imported late, so that a wrong option does not cost a second of imports.
    from scorer.machine.cgroup import limit_memory  # noqa: PLC0415
    from scorer.server.app import ServeTask  # noqa: PLC0415
    from scorer.server.app import serve as serve_model  # noqa: PLC0415
    from understudy.artifact.expectation import Expectation, read_expectation  # noqa: PLC0415

    try:
        ref = VersionRef(checked_model_name(name, "--name"), version_number)
        expected = read_expectation(expect) if expect is not None else Expectation()
    except InvalidInputError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(USAGE) from error
    if settings.max_memory_mb is not None:
        limit_memory(settings.max_memory_mb)
    configure_logs(f"scorer:{ref}", level=settings.log_level)
    task = ServeTask(artifact, ref, expected, status_file, cpus)
    _run(lambda: serve_model(task, settings))


@app.command()
def host(
    registry: Annotated[str | None, typer.Option(help="the registry's host:port")] = None,
    dir_: Annotated[Path | None, typer.Option("--dir", help="cache, sockets, state")] = None,
    listen: Annotated[str | None, typer.Option(help="the host's own health service")] = None,
    replicas: Annotated[int | None, typer.Option(help="processes per version")] = None,
    print_settings: PrintSettings = False,  # noqa: FBT002 - a command-line flag
) -> None:
    """Run a scorer process for each version that the registry's deployments name."""
    os.umask(_OURS_ALONE)
    settings = load_settings(
        HostSettings,
        {"registry": registry, "dir": dir_, "listen": listen, "replicas": replicas},
        print_and_exit=print_settings,
    )
    # The host starts processes: grpc must not install its fork handlers, which do not help here.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    from scorer.host.host_app import host as host_scorers  # noqa: PLC0415 - as above

    configure_logs("scorer-host", level=settings.log_level)
    _run(lambda: host_scorers(settings))


def _run(main: Callable[[], Coroutine[Any, Any, int]]) -> NoReturn:
    try:
        code = run(main)
    except InvalidInputError as error:  # e.g. the folder of the sockets belongs to another user
        typer.echo(str(error), err=True)
        raise typer.Exit(USAGE) from error
    except UnavailableError as error:  # e.g. the port is in use
        typer.echo(str(error), err=True)
        raise typer.Exit(UNAVAILABLE) from error
    raise typer.Exit(code)
