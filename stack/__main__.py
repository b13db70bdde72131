"""The `understudy` command. Its parts are imported only when they are used."""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from understudy.domain.errors import UnavailableError
from understudy.runtime.command_line import CommandGroup
from understudy.runtime.distribution import SERVING, installed_versions
from understudy.runtime.terminal.output_option import Format, Output

_MOUNTED = {
    "registry": ("registry.cli.commands", "Versions, provenance, deployments, audit."),
    "router": ("router.cli.commands", "Route scoring calls; status, drills, assignment."),
    "scorer": ("scorer.commands", "Serve model versions with ONNX Runtime."),
    "features": (
        "understudy.features.cli.commands",
        "Feature views and stores: check, load, compare.",
    ),
    "compare": (
        "understudy.comparison.cli.compare_command",
        "Compare a shadow with the version that answered.",
    ),
    "shadow": ("understudy.comparison.cli.commands", "Read the logs."),
    "logs": ("understudy.comparison.cli.logs_commands", "Remove rows from the logs on purpose."),
}

# By import name. They are an extra, because no serving process needs them.
_DEMO_LIBRARIES = ("sklearn", "skl2onnx")


class _LazyGroup(CommandGroup):
    """Lists the packages' commands by name; imports one when its name is used."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*super().list_commands(ctx), *_MOUNTED]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name in _MOUNTED:
            return TyperGroup(name=cmd_name, help=_MOUNTED[cmd_name][1])
        return super().get_command(ctx, cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        if args[0] in _MOUNTED:
            module, _ = _MOUNTED[args[0]]
            return args[0], typer.main.get_command(import_module(module).app), args[1:]
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=_LazyGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _show_versions(*, asked: bool) -> None:
    if asked:
        for name, version in installed_versions().items():
            typer.echo(f"{name} {version}")
        raise typer.Exit


@app.callback()
def understudy(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            is_eager=True,
            callback=lambda asked: _show_versions(asked=asked),
            help="Show the versions of the installed distributions.",
        ),
    ] = False,
) -> None:
    """Champion/challenger scoring: demo, a stack on this machine, and its parts."""


Features = Annotated[str, typer.Option(help="lmdb or aerospike://HOST:PORT/NAMESPACE")]
Directory = Annotated[Path, typer.Option("--dir", help="Folder for the files of the stack.")]


@app.command()
def demo(
    *,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the stack running at the end, until Ctrl-C.")
    ] = False,
    directory: Annotated[
        Path | None,
        typer.Option("--dir", help="Folder for the files; new or empty [a temporary folder]."),
    ] = None,
    rate: Annotated[
        int, typer.Option(min=10, max=5_000, help="Requests per second to send.")
    ] = 250,
    features: Features = "lmdb",
    output: Output = Format.TABLE,
) -> None:
    """Show the whole system on real data: train, register, deploy, shadow, canary, roll back."""
    if missing := [name for name in _DEMO_LIBRARIES if find_spec(name) is None]:
        reason = (
            f"not installed: {', '.join(missing)}; accepted: an installation of {SERVING}[demo]"
        )
        raise UnavailableError("demo", reason)

    from stack.demo import DemoOptions, run_demo  # noqa: PLC0415 - training libraries load slowly

    options = DemoOptions(rate, keep=keep, features=features, output=output)
    sys.exit(run_demo(directory, options))


@app.command()
def up(
    directory: Directory,
    router_listen: Annotated[str, typer.Option(help="HOST:PORT of the router.")] = "127.0.0.1:8400",
    registry_listen: Annotated[
        str, typer.Option(help="HOST:PORT of the registry.")
    ] = "127.0.0.1:8500",
    routers: Annotated[int, typer.Option(min=1, max=64, help="Router worker processes.")] = 2,
    features: Features = "lmdb",
    output: Output = Format.TABLE,
) -> None:
    """Start registry, scorer host and router on this machine, and run until Ctrl-C."""
    from stack.up import run_up  # noqa: PLC0415 - other commands start faster without it

    sys.exit(
        run_up(
            directory,
            features=features,
            registry_listen=registry_listen,
            router_listen=router_listen,
            workers=routers,
            output=output,
        )
    )


@app.command()
def score(
    model: Annotated[str, typer.Argument(help="Model name, e.g. cancer.")],
    entity: Annotated[list[str], typer.Option(help="TYPE=ID; may be repeated.")],
    feature: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE; overrides the stored one.")
    ] = None,
    router: Annotated[
        str, typer.Option(envvar="UNDERSTUDY_ROUTER", help="HOST:PORT of the router.")
    ] = "127.0.0.1:8400",
    timeout_s: Annotated[float, typer.Option(min=0.001, max=60)] = 1.0,
    output: Output = Format.TABLE,
) -> None:
    """Score one unit, e.g. `understudy score cancer --entity patient=17`."""
    from stack.score import run_score  # noqa: PLC0415 - other commands start faster without it

    run_score(model, entity, feature or [], router, timeout_s, output)


def main(arguments: Sequence[str] | None = None) -> None:
    app(args=arguments, prog_name="understudy")


if __name__ == "__main__":
    main()
