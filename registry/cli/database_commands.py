"""`understudy registry database …`: acts on the database of registries that do not run."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from registry.cli.offline_author import author_of
from registry.cli.options import Actor, DryRun, OnBehalfOf, Reason
from understudy.runtime.command_line import CommandGroup
from understudy.runtime.settings import load_settings
from understudy.runtime.terminal.json_output import print_json
from understudy.runtime.terminal.output_option import Format, Output
from understudy.runtime.terminal.screen import Screen

if TYPE_CHECKING:
    from registry.upgrade_database import PlannedUpgrade, UpgradedDatabase

app = typer.Typer(
    cls=CommandGroup, no_args_is_help=True, help="The database of registries that do not run."
)


@app.command()
def upgrade(
    *,
    directory: Annotated[
        Path | None, typer.Option("--dir", help="of the registry, with the database of SQLite")
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(help="sqlite:DIRECTORY or postgresql://… without a password [in --dir]"),
    ] = None,
    reason: Reason,
    dry_run: DryRun = False,
    actor: Actor = None,
    on_behalf_of: OnBehalfOf = None,
    output: Output = Format.TABLE,
) -> None:
    """Carry the database of an earlier release forward to the schema of this one; stop all registries first."""
    from registry.storage_settings import StorageSettings  # noqa: PLC0415 - others start faster
    from registry.store.directory_lock import locked_for  # noqa: PLC0415 - as above
    from registry.upgrade_database import plan_upgrade, upgrade_database  # noqa: PLC0415 - as above

    author, why = author_of(actor, on_behalf_of, reason)
    settings = load_settings(StorageSettings, {"dir": directory, "store": store})
    plan = plan_upgrade(settings.database)
    if dry_run or not plan.steps:
        _print(plan, None, output)
        return
    with locked_for(settings.database, settings.dir):
        done = upgrade_database(settings.database, author, why, datetime.now(UTC))
    _print(done.plan, done, output)


def _print(plan: "PlannedUpgrade", done: "UpgradedDatabase | None", output: Format) -> None:
    last = plan.steps[-1].schema if plan.steps else plan.found
    if output is Format.JSON:
        print_json(
            {
                "from_schema": plan.found,
                "to_schema": last,
                "steps": [{"schema": each.schema, "adds": each.title} for each in plan.steps],
                "applied": bool(done and done.audit_digest),
                "audit_digest": done.audit_digest if done else "",
                "copy": done.copy if done else None,
            }
        )
        return
    screen = Screen()
    if not plan.steps:
        screen.say(f"the database has schema {last}, that of this release: nothing to do")
        return
    for each in plan.steps:
        screen.say(f"schema {each.schema}: {each.title}")
    if done is None:
        screen.say(f"would upgrade the database from schema {plan.found} to {last}")
        return
    screen.say(
        f"upgraded the database from schema {plan.found} to {last}, verified; row {done.audit_digest} "
        "of the audit log"
    )
    if done.copy is not None:
        screen.say(f"the database as it was: {done.copy}")
    screen.say("next: start the registries of this release; those of an earlier one refuse it")
