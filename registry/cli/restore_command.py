"""`understudy registry restore`: a backup into an empty place, or this registry in place of a lost one."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from registry.cli.await_effect import looking_at
from registry.cli.make_change import report_effect
from registry.cli.named_files import existing_file
from registry.cli.offline_author import author_of
from registry.cli.options import Actor, DryRun, OnBehalfOf, Reason, Registry, Wait
from registry.cli.output import print_restore
from registry.decisions.effect import AwaitedState
from understudy.control.client import DEFAULT_REGISTRY, RegistryClient
from understudy.control.wire_values import GREATEST_NUMBER
from understudy.domain.errors import Fault, InvalidInputError, raise_any
from understudy.registry.v1 import registry_pb2 as pb
from understudy.runtime.settings import load_settings
from understudy.runtime.terminal.json_output import print_json
from understudy.runtime.terminal.message_values import message_value
from understudy.runtime.terminal.output_option import Format, Output
from understudy.runtime.terminal.screen import Screen

if TYPE_CHECKING:
    from registry.decisions.backup_manifest import BackupManifest
    from registry.restore_backup import BackupRestore, RestoredBackup
    from registry.storage_settings import StorageSettings

app = typer.Typer()

_OF_A_BACKUP = ("directory", "store", "artifacts")
_OF_A_SERVING_REGISTRY = ("registry", "wait")


@app.command()
def restore(
    context: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(help="backup to restore into an empty place [none: the registry that runs]"),
    ] = None,
    *,
    directory: Annotated[
        Path | None, typer.Option("--dir", help="of FILE: artifacts, and the database of SQLite")
    ] = None,
    store: Annotated[
        str | None, typer.Option(help="of FILE: sqlite:DIRECTORY or postgresql://… [in --dir]")
    ] = None,
    artifacts: Annotated[
        str | None, typer.Option(help="of FILE: s3://BUCKET/PREFIX [a folder in --dir]")
    ] = None,
    successor_of: Annotated[
        str | None,
        typer.Option(help="lineage whose routers and hosts are to accept it [of FILE: its own]"),
    ] = None,
    revisions_above: Annotated[
        int | None,
        typer.Option(
            min=0, max=GREATEST_NUMBER, help="number that revisions must exceed [those reported]"
        ),
    ] = None,
    ends: Annotated[
        list[str] | None, typer.Option(help="model of the predecessor that ends; repeatable")
    ] = None,
    reason: Reason,
    dry_run: DryRun = False,
    wait: Wait = True,
    registry: Registry = DEFAULT_REGISTRY,
    actor: Actor = None,
    on_behalf_of: OnBehalfOf = None,
    output: Output = Format.TABLE,
) -> None:
    """Restore a backup, or make this registry a lost one's successor, which routers and hosts accept."""
    raise_any(_without_effect(context, _OF_A_SERVING_REGISTRY if file else _OF_A_BACKUP))
    if successor_of == "":
        raise InvalidInputError.of("--successor-of", read="", accepted="a lineage")
    request = pb.RestoreRegistryRequest(
        successor_of=successor_of or "",
        reason=reason,
        dry_run=dry_run,
        revisions_above=revisions_above,
        ends=ends or (),
    )
    if file is not None:
        _restore_backup(
            file, _settings(directory, store, artifacts), request, actor, on_behalf_of, output
        )
        return
    if successor_of is None:
        accepted = "a backup, or --successor-of for the registry that runs"
        raise InvalidInputError([Fault("FILE", "nothing", accepted)])
    with RegistryClient(registry, actor=actor, on_behalf_of=on_behalf_of) as client:
        done = client.restore(request)
        awaited = AwaitedState(
            f"the restore of {successor_of}", done.lineage, done.sequence, hosts_follow=True
        )
        report_effect(
            awaited if wait and done.applied else None,
            looking_at(client, None),
            output,
            print_table=lambda: print_restore(done, successor_of),
            content=message_value(done),
        )


def _without_effect(context: typer.Context, names: tuple[str, ...]) -> list[Fault]:
    """Return a fault for each of the options that was given."""
    given = [name for name in names if _is_on_command_line(context, name)]
    options = {each.name: each.opts[0] for each in context.command.params}
    accepted = "options of a restore without FILE" if names == _OF_A_BACKUP else "none with FILE"
    return [Fault(options[name], "an option without effect", accepted) for name in given]


def _is_on_command_line(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _settings(
    directory: Path | None, store: str | None, artifacts: str | None
) -> "StorageSettings":
    from registry.storage_settings import StorageSettings  # noqa: PLC0415 - others start faster

    return load_settings(
        StorageSettings, {"dir": directory, "store": store, "artifacts": artifacts}
    )


def _restore_backup(
    path: Path,
    settings: "StorageSettings",
    request: pb.RestoreRegistryRequest,
    actor: str | None,
    on_behalf_of: str | None,
    output: Format,
) -> None:
    from registry.restore_backup import BackupRestorer  # noqa: PLC0415 - others start faster
    from registry.store.database import require_empty  # noqa: PLC0415 - as above
    from registry.store.directory_lock import locked_for  # noqa: PLC0415 - as above
    from registry.verify_backup import verify_backup  # noqa: PLC0415 - as above

    asked = _asked(request, actor, on_behalf_of)
    with existing_file(path) as file:
        if request.dry_run:
            require_empty(settings.database)
            _print(path, verify_backup(file).manifest, None, output)
            return
        with locked_for(settings.database, settings.dir):
            opened = settings.open_artifacts()
            try:
                restorer = BackupRestorer(settings.database, opened)
                done = restorer.restore(file, asked, datetime.now(UTC))
            finally:
                opened.close()
    _print(path, done.backup.manifest, done, output)


def _asked(
    request: pb.RestoreRegistryRequest, actor: str | None, on_behalf_of: str | None
) -> "BackupRestore":
    from registry.decisions.succession import RestoreRequest  # noqa: PLC0415 - others start faster
    from registry.restore_backup import BackupRestore  # noqa: PLC0415 - as above
    from registry.server.callers import checked_name_of  # noqa: PLC0415 - as above

    author, reason = author_of(actor, on_behalf_of, request.reason)
    successor_of = (
        checked_name_of(request.successor_of, "--successor-of") if request.successor_of else ""
    )
    ends = tuple(dict.fromkeys(request.ends))
    return BackupRestore(
        RestoreRequest(successor_of, request.revisions_above, ends), author, reason
    )


def _print(
    path: Path, manifest: "BackupManifest", done: "RestoredBackup | None", output: Format
) -> None:
    plan = None if done is None else done.restored.plan
    if output is Format.JSON:
        print_json(
            {
                "file": path,
                "made": manifest.made,
                "predecessor": manifest.lineage,
                "sequence": manifest.sequence,
                "head": manifest.head,
                "files": len(manifest.artifacts),
                "applied": done is not None,
                "lineage": None if done is None else done.restored.lineage,
                "revision": None if plan is None else plan.revision,
                "models": None if plan is None else [each.model for each in plan.restored],
            }
        )
        return
    screen = Screen()
    would = "restored" if done else "would restore"
    screen.say(
        f"{would} registry {manifest.lineage} as of {manifest.made:%Y-%m-%d %H:%M:%S} UTC: "
        f"{manifest.sequence} rows of the audit log up to {manifest.head}, "
        f"{len(manifest.artifacts)} artifact files"
    )
    if done is None or plan is None:
        return
    models = ", ".join(each.model for each in plan.restored) or "no deployment"
    ended = "".join(f"; {model} ends" for model in plan.ends)
    screen.say(
        f"registry {done.restored.lineage} succeeds it with revision {plan.revision}: {models}{ended}"
    )
    screen.say(
        "next: give it the identities, keys, certificates and settings of the lost one, which no backup "
        "has; start it with `understudy registry serve`; then `understudy registry status` shows the "
        "routers and hosts that follow it"
    )
