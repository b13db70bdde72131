"""`understudy features`: the operators' commands for feature views and stores."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from understudy.domain.errors import (
    CheckFailedError,
    Fault,
    InvalidInputError,
    NotFoundError,
    RefusedError,
)
from understudy.features.cli import delete_command, get_command, history_commands, load_command
from understudy.features.cli.options import StoreUrl, ViewsFile
from understudy.runtime.command_line import CommandGroup
from understudy.runtime.terminal.json_output import print_json
from understudy.runtime.terminal.output_option import Format, Output
from understudy.runtime.terminal.screen import Screen

# Slow imports are inside the commands that need them.

app = typer.Typer(
    cls=CommandGroup,
    help="Feature views and stores: check, load, show, delete, compare, audit.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_DIGEST_SHOWN = 12
app.command("load")(load_command.load)
app.command("get")(get_command.get)
app.command("delete")(delete_command.delete)
app.command("history")(history_commands.history)
app.command("audit")(history_commands.audit)
app.command("freshness")(history_commands.freshness)


@dataclass(frozen=True, slots=True)
class FileReport:
    """The result of `validate` for one file."""

    file: Path
    views: int = 0
    features: int = 0
    faults: tuple[Fault, ...] = ()
    is_there: bool = True


@app.command()
def validate(
    files: Annotated[list[Path], typer.Argument(help="YAML files with feature views.")],
    output: Output = Format.TABLE,
) -> None:
    """Check files of feature views; all faults of all files are reported at once."""
    reports = [_validated(path) for path in files]
    if output is Format.JSON:
        print_json(reports)
    else:
        for each in reports:
            if not each.faults:
                Screen().say(f"{each.file}: {each.views} views, {each.features} features")
    faults = [fault for each in reports for fault in each.faults]
    if any(each.faults and each.is_there for each in reports):
        raise CheckFailedError(f"{len(faults)} faults in feature views", faults)
    if faults:
        raise InvalidInputError(faults)


def _validated(path: Path) -> FileReport:
    from understudy.features.views import load_views  # noqa: PLC0415 - see above

    try:
        views = load_views(path)
    except InvalidInputError as error:
        return FileReport(path, faults=error.faults)
    except NotFoundError:
        return FileReport(path, faults=(Fault(str(path), "nothing", "a file"),), is_there=False)
    return FileReport(path, len(views), sum(len(view.features) for view in views))


@app.command("list")
def list_views(views: ViewsFile, output: Output = Format.TABLE) -> None:
    """List the feature views of a file."""
    from understudy.domain.features import ViewKind  # noqa: PLC0415 - see above
    from understudy.domain.record_layouts import layout_content  # noqa: PLC0415 - see above
    from understudy.features.decisions.families import families_of  # noqa: PLC0415 - see above
    from understudy.features.views import load_views  # noqa: PLC0415 - see above

    rows = [
        {
            "view": str(view),
            "kind": view.kind.value,
            "entity": view.entity,
            "key": view.key.value if view.kind is ViewKind.STORED else None,
            "features": len(view.features),
            "families": ", ".join(each.family for each in families_of(view)) or None,
            "layout": next(iter(layout_content(view.layout)), "packed"),
            "namespace": view.namespace or None,
            "ttl_s": view.ttl_s,
            "digest": view.digest,
        }
        for view in load_views(views)
    ]
    if output is Format.JSON:
        print_json(rows)
    else:
        Screen().rows([{**row, "digest": str(row["digest"])[:_DIGEST_SHOWN]} for row in rows])


@app.command()
def show(
    view: Annotated[str, typer.Argument(help="NAME or NAME@VERSION.")],
    views: ViewsFile,
    output: Output = Format.TABLE,
) -> None:
    """Show one feature view with its features."""
    from understudy.domain.features import LogPolicy, ViewKind  # noqa: PLC0415 - see above
    from understudy.features.views import find_view, load_views  # noqa: PLC0415 - see above

    chosen = find_view(load_views(views), view)
    if output is Format.JSON:
        content = {name: part for name, part in asdict(chosen).items() if name != "family"}
        print_json({**content, "digest": chosen.digest})
        return
    screen = Screen()
    keys = f", key: {chosen.key.value}" if chosen.kind is ViewKind.STORED else ""
    namespace = f", namespace: {chosen.namespace}" if chosen.namespace else ""
    screen.say(f"{chosen} of {chosen.entity}{keys}{namespace}, digest {chosen.digest}")
    columns = ["name", "dtype", "default", "max_age_s", "owner", "description"]
    if any(feature.family for feature in chosen.features):
        columns.insert(1, "family")
    if any(feature.log is not LogPolicy.VALUE for feature in chosen.features):
        columns.append("log")
    if chosen.inputs:
        columns.append("expression")
        screen.say("inputs: " + ", ".join(f"{name} = {ref}" for name, ref in chosen.inputs))
    screen.rows([asdict(feature) for feature in chosen.features], columns=columns)


@app.command()
def diff(
    old: Annotated[Path, typer.Argument(help="The old YAML file.")],
    new: Annotated[Path, typer.Argument(help="The new YAML file.")],
    output: Output = Format.TABLE,
) -> None:
    """Show the changes between two files; exits 2 if a view changed under the same version."""
    from understudy.features.decisions.view_changes import changes_between  # noqa: PLC0415 - see above
    from understudy.features.views import load_views  # noqa: PLC0415 - see above

    changes = changes_between(load_views(old), load_views(new))
    rows = [
        {"view": change.view, "change": change.what, "allowed": change.is_allowed}
        for change in changes
    ]
    if output is Format.JSON:
        print_json(rows)
    else:
        Screen().rows(rows)
    if not all(change.is_allowed for change in changes):
        raise RefusedError("a changed view needs a new version")


@app.command()
def ping(
    store: StoreUrl,
    *,
    count: Annotated[int, typer.Option(min=1, max=10_000, help="Number of reads to time.")] = 20,
    timeout_ms: Annotated[int, typer.Option(min=1, max=60_000, help="Limit for each read.")] = 1000,
    output: Output = Format.TABLE,
) -> None:
    """Show whether a store answers, its latency, and its clock skew."""
    import asyncio  # noqa: PLC0415 - see above

    from understudy.features.cli.ping import ping_store  # noqa: PLC0415 - see above

    report = asyncio.run(ping_store(store, count=count, timeout_s=timeout_ms / 1000))
    if output is Format.JSON:
        print_json([report])
    else:
        Screen().rows([asdict(report)])
