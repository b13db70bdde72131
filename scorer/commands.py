"""`understudy scorer ...`: the commands."""

import os
from pathlib import Path
from typing import Annotated

import typer

from scorer.refusal_file import write_refusal
from scorer.settings import HostSettings, ScorerSettings
from understudy.domain.errors import InvalidInputError, NotFoundError
from understudy.domain.versions import VersionRef, checked_model_name
from understudy.runtime.command_line import CommandGroup
from understudy.runtime.lifecycle import run
from understudy.runtime.logs import configure_logs
from understudy.runtime.settings import load_settings, show_settings
from understudy.runtime.span_export import check_span_export
from understudy.runtime.terminal.output_option import Format, Output

app = typer.Typer(
    cls=CommandGroup,
    help="Serve model versions over the Open Inference Protocol.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

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
    output: Output = Format.TABLE,
    expect: Annotated[Path | None, typer.Option(hidden=True)] = None,
    status_file: Annotated[Path | None, typer.Option(hidden=True)] = None,
    cpus: Annotated[int | None, typer.Option(min=1, hidden=True)] = None,
) -> None:
    """Serve one model version until SIGTERM. Needs no registry."""
    try:
        settings = load_settings(ScorerSettings, {"listen": listen, "metrics_port": metrics_port})
        check_span_export(os.environ)
    except InvalidInputError as error:
        if status_file is not None:
            write_refusal(status_file, error)
        raise
    if print_settings:
        show_settings(settings, output)
        return
    # Imported late, so that a wrong option does not cost a second of imports.
    from scorer.machine.cgroup import limit_memory  # noqa: PLC0415
    from scorer.server.app import ServeTask  # noqa: PLC0415
    from scorer.server.app import serve as serve_model  # noqa: PLC0415
    from understudy.artifact.expectation import Expectation, read_expectation  # noqa: PLC0415

    ref = VersionRef(checked_model_name(name, "--name"), version_number)
    expected = read_expectation(expect) if expect is not None else Expectation()
    if status_file is None and not artifact.exists():  # a host learns it from that file
        raise NotFoundError("artifact", artifact)
    if settings.max_memory_mb is not None:
        limit_memory(settings.max_memory_mb)
    configure_logs(f"scorer:{ref}", level=settings.log_level)
    task = ServeTask(artifact, ref, expected, status_file, cpus)
    raise typer.Exit(run(lambda: serve_model(task, settings)))


@app.command()
def host(
    registry: Annotated[
        str | None, typer.Option(help="the registry's host:port, or several separated by commas")
    ] = None,
    dir_: Annotated[Path | None, typer.Option("--dir", help="cache, sockets, state")] = None,
    listen: Annotated[str | None, typer.Option(help="the host's own health service")] = None,
    models: Annotated[str | None, typer.Option(help="models that it may run [all]")] = None,
    labels: Annotated[str | None, typer.Option(help="its labels, e.g. gpu,zone=eu")] = None,
    replicas: Annotated[int | None, typer.Option(help="processes per version")] = None,
    print_settings: PrintSettings = False,  # noqa: FBT002 - a command-line flag
    output: Output = Format.TABLE,
) -> None:
    """Run a scorer process for each version that deployments name and this host may run."""
    settings = load_settings(
        HostSettings,
        {
            "registry": registry,
            "dir": dir_,
            "listen": listen,
            "models": models,
            "labels": labels,
            "replicas": replicas,
        },
    )
    if print_settings:
        show_settings(settings, output)
        return
    load_settings(ScorerSettings, {})  # of the scorers, which would all refuse them
    check_span_export(os.environ)  # of the scorers, too
    # The host starts processes: grpc must not install its fork handlers, which do not help here.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    from scorer.host.host_app import host as host_scorers  # noqa: PLC0415 - as above

    configure_logs("scorer-host", level=settings.log_level)
    raise typer.Exit(run(lambda: host_scorers(settings)))
