"""`understudy features`: what operators do with feature views and stores."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from understudy.features.cli import history_commands, load_command
from understudy.features.cli.command_output import (
    Format,
    Output,
    StoreUrl,
    ViewsFile,
    print_json,
    print_rows,
    told_in_one_line,
)
from understudy.runtime import exit_codes

# Everything that takes long to import is imported by the command that needs it.

app = typer.Typer(
    help="Feature views and stores: check, load, compare, audit.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("load")(load_command.load)
app.command("history")(history_commands.history)
app.command("audit")(history_commands.audit)
app.command("freshness")(history_commands.freshness)


@app.command()
def validate(
    files: Annotated[list[Path], typer.Argument(help="YAML files with feature views.")],
) -> None:
    """Check files of feature views; all faults of all files are told at once."""
    from understudy.features.views import load_views  # noqa: PLC0415 - see above

    codes: list[int] = []
    for path in files:
        try:
            with told_in_one_line(where=path):
                views = load_views(path)
                count = sum(len(view.features) for view in views)
                typer.echo(f"{path}: {len(views)} views, {count} features")
        except typer.Exit as told:
            codes.append(told.exit_code)
    if codes:
        raise typer.Exit(max(codes))  # a fault before a file that is not there


@app.command("list")
def list_views(views: ViewsFile, output: Output = Format.TABLE) -> None:
    """List the feature views of a file."""
    from understudy.features.views import load_views  # noqa: PLC0415 - see above

    with told_in_one_line():
        rows = [
            {
                "view": str(view),
                "kind": view.kind.value,
                "entity": view.entity,
                "features": len(view.features),
                "layout": "packed" if view.bins is None else "bins",
                "ttl_s": view.ttl_s,
                "digest": view.digest,
            }
            for view in load_views(views)
        ]
    shown = rows if output is Format.JSON else [{**row, "digest": _short(row)} for row in rows]
    columns = ("view", "kind", "entity", "features", "layout", "ttl_s", "digest")
    print_rows(shown, output, columns=columns)


@app.command()
def show(
    view: Annotated[str, typer.Argument(help="NAME or NAME@VERSION.")],
    views: ViewsFile,
    output: Output = Format.TABLE,
) -> None:
    """Show one feature view with its features."""
    from understudy.features.views import find_view, load_views  # noqa: PLC0415 - see above

    with told_in_one_line():
        chosen = find_view(load_views(views), view)
    if output is Format.JSON:
        print_json({**asdict(chosen), "digest": chosen.digest})
        return
    typer.echo(f"{chosen} of {chosen.entity}, digest {chosen.digest}")
    columns = ["name", "dtype", "default", "max_age_s", "owner", "description"]
    if chosen.inputs:
        columns.append("expression")
        typer.echo("inputs: " + ", ".join(f"{name} = {ref}" for name, ref in chosen.inputs))
    print_rows([asdict(feature) for feature in chosen.features], output, columns=columns)


@app.command()
def diff(
    old: Annotated[Path, typer.Argument(help="YAML file as it was.")],
    new: Annotated[Path, typer.Argument(help="YAML file as it shall be.")],
    output: Output = Format.TABLE,
) -> None:
    """Tell what changed between two files; exits 2 when a view changed under its version."""
    from understudy.features.decisions.view_changes import changes_between  # noqa: PLC0415 - see above
    from understudy.features.views import load_views  # noqa: PLC0415 - see above

    with told_in_one_line():
        changes = changes_between(load_views(old), load_views(new))
    rows = [
        {"view": change.view, "change": change.what, "allowed": change.is_allowed}
        for change in changes
    ]
    print_rows(rows, output, columns=("view", "change", "allowed"))
    if not all(change.is_allowed for change in changes):
        typer.echo("understudy features: a changed view needs a new version", err=True)
        raise typer.Exit(exit_codes.REFUSED)


@app.command()
def ping(
    store: StoreUrl,
    *,
    count: Annotated[int, typer.Option(min=1, max=10_000, help="Reads to time.")] = 20,
    timeout_ms: Annotated[int, typer.Option(min=1, max=60_000, help="For each read.")] = 1000,
    output: Output = Format.TABLE,
) -> None:
    """Tell whether a store answers, how fast, and how far its clock is off."""
    import asyncio  # noqa: PLC0415 - see above

    from understudy.features.cli.ping import ping_store  # noqa: PLC0415 - see above

    with told_in_one_line():
        report = asyncio.run(ping_store(store, count=count, timeout_s=timeout_ms / 1000))
    columns = ("store", "reads", "p50_ms", "p99_ms", "clock_skew_s")
    print_rows([asdict(report)], output, columns=columns)


def _short(row: dict[str, Any]) -> str:
    return str(row["digest"])[:12]
