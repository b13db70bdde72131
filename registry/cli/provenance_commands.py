"""`understudy registry provenance …`: write a record, print the meaning of its fields."""

import json
from pathlib import Path
from typing import Annotated

import typer

from registry.cli.options import Actor
from understudy.control.identity import default_actor
from understudy.domain.errors import Fault, InvalidInputError
from understudy.runtime.terminal.json_output import print_json
from understudy.runtime.terminal.output_option import Format, Output
from understudy.runtime.terminal.screen import Screen

app = typer.Typer(no_args_is_help=True, help="Write a version's provenance record.")


@app.command("init")
def init(
    file: Annotated[Path, typer.Argument(help="file to write, e.g. provenance.json")],
    *,
    directory: Annotated[Path, typer.Option("--dir", help="directory of the training code")],
    lockfile: Annotated[Path | None, typer.Option(help="lockfile of the environment")] = None,
    actor: Actor = None,
    output: Output = Format.TABLE,
) -> None:
    """Write a record with the facts of this machine; null marks what you must fill in."""
    from understudy.provenance.skeleton import record_skeleton  # noqa: PLC0415 - others start faster

    if not directory.is_dir():
        raise InvalidInputError([Fault("--dir", f"{directory}, which does not exist", "a folder")])
    record = record_skeleton(directory, lockfile, author=actor or default_actor())
    try:
        with file.open("x") as target:
            json.dump(record, target, indent=2)
    except OSError as error:
        fault = Fault("FILE", f"{file}: {error.strerror}", "a new file")
        raise InvalidInputError([fault]) from error
    if output is Format.JSON:
        print_json({"file": file})
    else:
        Screen().say(f"wrote {file}; fill in the null values, then run: understudy registry check")


@app.command("fields")
def fields(output: Output = Format.TABLE) -> None:
    """Print every field of the record and what satisfies it, as a Markdown table."""
    from understudy.provenance.field_table import field_rows, field_table  # noqa: PLC0415 - as above

    if output is Format.JSON:
        print_json(field_rows())
    else:
        typer.echo(field_table(), nl=False)
