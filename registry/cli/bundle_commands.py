"""`understudy registry bundle …`: carry a version from one registry to another, provably unchanged."""

from pathlib import Path
from typing import Annotated

import typer

from registry.cli.copies import new_directory, write_artifact
from registry.cli.named_files import trusted_keys
from registry.cli.named_version import named_version, print_named_json
from registry.cli.options import Actor, DryRun, ModelOrVersion, Number, OnBehalfOf, Reason, Registry
from registry.cli.output import print_report
from registry.cli.version_bundle import (
    ARTIFACT_DIRECTORY,
    Bundle,
    read_bundle,
    verify_bundle,
    write_bundle,
)
from understudy.control.client import DEFAULT_REGISTRY, RegistryClient
from understudy.control.uploads import NewVersion
from understudy.domain.errors import RefusedError
from understudy.runtime.command_line import CommandGroup
from understudy.runtime.terminal.json_output import print_json
from understudy.runtime.terminal.output_option import Format, Output
from understudy.runtime.terminal.screen import Screen

app = typer.Typer(
    cls=CommandGroup, no_args_is_help=True, help="Carry versions from one registry to another."
)

Directory = Annotated[Path, typer.Argument(help="directory of the bundle")]


@app.command("export")
def export_(
    model: ModelOrVersion,
    version: Number = None,
    *,
    to: Annotated[Path, typer.Option("--to", help="new directory for the bundle")],
    registry: Registry = DEFAULT_REGISTRY,
    output: Output = Format.TABLE,
) -> None:
    """Write a version and the registry's signed statement about it to a new directory."""
    named = named_version(model, version, registry, output)
    ref = named.ref
    with new_directory(to) as part, RegistryClient(registry) as client:
        found = client.get_version(ref.model, ref.number)
        statement = client.sign_version(ref)
        size_bytes = write_artifact(client, found, part / ARTIFACT_DIRECTORY)
        write_bundle(part, found, statement)
    if output is Format.JSON:
        written = {"directory": to, "files": len(found.files), "size_bytes": size_bytes}
        print_named_json(written, named)
    else:
        Screen().say(f"wrote a bundle of {ref} to {to}: {size_bytes} bytes in its artifact")


@app.command()
def verify(
    directory: Directory,
    *,
    trusted_key: Annotated[
        Path, typer.Option("--trusted-key", help="file with public keys of the origin, PEM")
    ],
    output: Output = Format.TABLE,
) -> None:
    """Verify a bundle's signature and every digest, without any registry."""
    keys = trusted_keys(trusted_key)
    statement = verify_bundle(read_bundle(directory), keys)
    if output is Format.JSON:
        print_json(statement.content)
    else:
        Screen().say(
            f"{statement.ref} of registry {statement.lineage}, registered by {statement.actor}: "
            "signature and digests are sound"
        )


@app.command("import")
def import_(
    directory: Directory,
    *,
    reason: Reason,
    dry_run: DryRun = False,
    registry: Registry = DEFAULT_REGISTRY,
    actor: Actor = None,
    on_behalf_of: OnBehalfOf = None,
    output: Output = Format.TABLE,
) -> None:
    """Register the version of a bundle, if this registry trusts its origin; the audit log names it."""
    new = _new_version(read_bundle(directory), reason)
    with RegistryClient(registry, actor=actor, on_behalf_of=on_behalf_of) as client:
        response = client.check(new) if dry_run else client.register(new)
    print_report(response, output)
    if not response.report.complete:
        findings = len(response.report.findings)
        raise RefusedError(f"the gate refuses the version: {findings} findings, all on stdout")


def _new_version(bundle: Bundle, reason: str) -> NewVersion:
    spec = bundle.spec
    return NewVersion(
        model=spec.ref.model,
        artifact_dir=bundle.directory / ARTIFACT_DIRECTORY,
        provenance_json=bundle.record_json,
        views=spec.feature_views,
        score_output=spec.score_output,
        reason=reason,
        origin_json=bundle.statement_json,
    )
