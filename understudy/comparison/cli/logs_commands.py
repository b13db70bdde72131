"""The operators' commands: `understudy logs …`, which remove rows on purpose and merge files."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from understudy.domain.errors import CheckFailedError, NotFoundError, UnavailableError
from understudy.domain.logged_ids import IdForm
from understudy.domain.versions import checked_model_name
from understudy.logs.place_option import LogDir
from understudy.logs.places import LogPlace
from understudy.runtime.command_line import CommandGroup
from understudy.runtime.log_key import LogIdsOption, LogKeyFile, read_logged_ids
from understudy.runtime.terminal.json_output import print_json
from understudy.runtime.terminal.output_option import Format, Output
from understudy.runtime.terminal.screen import Screen

if TYPE_CHECKING:
    from understudy.runtime.object_store import ObjectStore

app = typer.Typer(
    cls=CommandGroup,
    help="Remove rows from the logs on purpose, and merge small files.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_OneModel = Annotated[str | None, typer.Option("--model", help="[all]")]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="count, and remove nothing")]


@app.command()
def retain(
    log_dir: LogDir,
    *,
    days: Annotated[int, typer.Option("--days", min=1, help="whole days to keep, before today")],
    model: _OneModel = None,
    dry_run: _DryRun = False,
    output: Output = Format.TABLE,
) -> None:
    """Remove the rows of days that ended more than that many days ago, UTC."""
    from understudy.logs.store_upkeep import remove_days_in_store  # noqa: PLC0415 - others start faster
    from understudy.logs.upkeep import remove_days_before  # noqa: PLC0415 - as above

    day = datetime.now(UTC).date() - timedelta(days=days)
    store = _checked_store(log_dir, model)
    try:
        if store is not None:
            done = remove_days_in_store(store, day, model=model, dry_run=dry_run)
        else:
            root = _checked(log_dir, model)
            done = remove_days_before(root, day, model=model, dry_run=dry_run)
    except OSError as error:
        raise UnavailableError("log directory", str(error)) from error
    if output is Format.JSON:
        print_json(done)
        return
    verb = "would be removed" if dry_run else "were removed"
    Screen().say(f"{done.rows} rows of days before {day} {verb}, {done.files} files")
    if done.left_out:
        Screen().say(f"{done.left_out} files of other software or another version stay")


@app.command()
def erase(
    log_dir: LogDir,
    *,
    unit: Annotated[str, typer.Option("--unit", help="id of the unit, entity or candidate")],
    model: _OneModel = None,
    log_ids: LogIdsOption = IdForm.KEYED,
    log_key_file: LogKeyFile = None,
    dry_run: _DryRun = False,
    output: Output = Format.TABLE,
) -> None:
    """Remove the rows of one unit, and the outcomes of its requests.

    Exits 1 if some may be left: in files that routers still write, or in those that another key or
    version of the logs closes to the search. Of a store only the files in it are searched: erase in
    the folders of the routers first.
    """
    from understudy.logs.store_upkeep import remove_unit_in_store  # noqa: PLC0415 - others start faster
    from understudy.logs.upkeep import remove_unit  # noqa: PLC0415 - as above

    ids = read_logged_ids(log_ids, log_key_file)
    store = _checked_store(log_dir, model)
    try:
        if store is not None:
            done = remove_unit_in_store(store, unit, ids, model=model, dry_run=dry_run)
        else:
            root = _checked(log_dir, model)
            done = remove_unit(root, unit, ids, model=model, dry_run=dry_run)
    except OSError as error:
        raise UnavailableError("log directory", str(error)) from error
    if output is Format.JSON:
        print_json(done)
    else:
        verb = "would be removed" if dry_run else "were removed"
        Screen().say(f"{done.rows} rows {verb}, in {done.files} files")
    if done.unfinished_rows or done.left_out:
        raise CheckFailedError(
            f"{done.unfinished_rows} rows are in unfinished files (repeat in a minute), and "
            f"{done.left_out} files could not be searched"
        )


@app.command()
def compact(
    log_dir: LogDir,
    *,
    below_mib: Annotated[
        int, typer.Option("--below-mib", min=1, max=64, help="size of files that are merged")
    ] = 16,
    model: _OneModel = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="count, and merge nothing")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Merge small files with others of their day, version and features; no row changes.

    A query that runs meanwhile may fail with exit code 69: repeat it.
    """
    from understudy.logs.compaction import compact_files  # noqa: PLC0415 - others start faster

    root = _checked(log_dir, model)
    try:
        done = compact_files(root, model=model, small_bytes=below_mib << 20, dry_run=dry_run)
    except OSError as error:
        raise UnavailableError("log directory", str(error)) from error
    if output is Format.JSON:
        print_json(done)
        return
    verb = "would be merged" if dry_run else "were merged"
    Screen().say(f"{done.files} files with {done.rows} rows {verb} into {done.into}")
    if done.left_out:
        Screen().say(f"{done.left_out} files stay: damaged, beside a damaged one, or not ours")


def _checked_store(log_dir: LogPlace, model: str | None) -> "ObjectStore | None":
    """Return the store to change; None: the place is a folder."""
    if model is not None:
        checked_model_name(model)
    return log_dir.store


def _checked(log_dir: LogPlace, model: str | None) -> Path:
    if model is not None:
        checked_model_name(model)
    folder = log_dir.folder
    if not folder.is_dir():
        raise NotFoundError("log directory", folder)
    return folder
