"""`understudy registry backup`: a copy of the whole registry while it serves."""

from pathlib import Path
from typing import Annotated

import typer

from registry.cli.named_files import whole_file
from registry.cli.options import Actor, Registry
from understudy.control.client import DEFAULT_REGISTRY, RegistryClient
from understudy.runtime.terminal.json_output import print_json
from understudy.runtime.terminal.output_option import Format, Output
from understudy.runtime.terminal.screen import Screen

app = typer.Typer()

_OURS_ALONE = 0o600  # mode of the file: models and records are in it


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="file to write, a tar archive")],
    *,
    registry: Registry = DEFAULT_REGISTRY,
    actor: Actor = None,
    output: Output = Format.TABLE,
) -> None:
    """Write all tables and artifacts to a file, while the registry serves, and verify it."""
    from registry.verify_backup import verify_backup  # noqa: PLC0415 - other commands start faster

    size_bytes = 0
    with RegistryClient(registry, actor=actor) as client, whole_file(file, _OURS_ALONE) as new:
        for piece in client.backup():
            size_bytes += new.write(piece)
        new.seek(0)
        found = verify_backup(new)
    manifest = found.manifest
    if output is Format.JSON:
        print_json(
            {
                "file": file,
                "size_bytes": size_bytes,
                "lineage": manifest.lineage,
                "made": manifest.made,
                "sequence": manifest.sequence,
                "head": manifest.head,
                "versions": found.versions,
                "revisions": found.revisions,
                "files": len(manifest.artifacts),
            }
        )
        return
    screen = Screen()
    screen.say(
        f"wrote {file}: registry {manifest.lineage} as of {manifest.made:%Y-%m-%d %H:%M:%S} UTC, "
        f"{size_bytes} bytes, verified"
    )
    screen.say(
        f"{manifest.sequence} rows of the audit log up to {manifest.head}, {found.versions} versions, "
        f"{found.revisions} revisions, {len(manifest.artifacts)} artifact files"
    )
