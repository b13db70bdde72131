"""The operators' commands: `understudy registry …`."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from registry.cli import (
    approval_commands,
    audit_commands,
    backup_command,
    block_commands,
    bundle_commands,
    contract_commands,
    database_commands,
    declaration_commands,
    deployment_commands,
    explain_command,
    identity_commands,
    import_mlflow,
    provenance_commands,
    read_commands,
    restore_command,
    retention_commands,
    rollback_command,
    serve_command,
    tag_commands,
    version_commands,
)
from registry.cli.named_version import NamedVersion, named_version
from registry.cli.options import (
    Actor,
    DryRun,
    Model,
    ModelOrVersion,
    Number,
    OnBehalfOf,
    Reason,
    Registry,
)
from registry.cli.output import print_report
from understudy.control.client import DEFAULT_REGISTRY, RegistryClient
from understudy.control.uploads import NewVersion
from understudy.control.wire import file_from_wire
from understudy.domain.canonical import canonical_json
from understudy.domain.errors import Fault, InvalidInputError, RefusedError
from understudy.domain.versions import ScoreOutput, checked_model_name
from understudy.provenance.bill_of_materials import ml_bom
from understudy.provenance.dsse import IN_TOTO_TYPE
from understudy.provenance.signing_keys import SigningKeys
from understudy.provenance.statement import in_toto_statement
from understudy.registry.v1 import registry_pb2 as pb
from understudy.runtime.command_line import CommandGroup
from understudy.runtime.secret_files import read_secret
from understudy.runtime.terminal.json_output import print_json
from understudy.runtime.terminal.output_option import Format, Output

app = typer.Typer(
    cls=CommandGroup,
    no_args_is_help=True,
    help="Versions, deployments, audit.",
    add_completion=False,
)

Artifact = Annotated[Path, typer.Option(help="directory with model.onnx and golden.npz")]
Provenance = Annotated[Path, typer.Option("--provenance", help="the record, JSON")]
Views = Annotated[Path, typer.Option(help="feature views, YAML")]
Score = Annotated[str, typer.Option(help="OUTPUT:COLUMN; OUTPUT alone if it has one column")]
AnyArtifact = Annotated[
    Path | None, typer.Option("--artifact", help="directory with model.onnx and golden.npz")
]
AnyProvenance = Annotated[Path | None, typer.Option("--provenance", help="the record, JSON")]
AnyViews = Annotated[Path | None, typer.Option("--views", help="feature views, YAML")]
AnyScore = Annotated[
    str | None,
    typer.Option("--score-output", help="OUTPUT:COLUMN; OUTPUT alone if it has one column"),
]


@app.command()
def register(
    model: Model,
    *,
    artifact: Artifact,
    provenance: Provenance,
    views: Views,
    score_output: Score,
    reason: Reason,
    dry_run: DryRun = False,
    registry: Registry = DEFAULT_REGISTRY,
    actor: Actor = None,
    on_behalf_of: OnBehalfOf = None,
    output: Output = Format.TABLE,
) -> None:
    """Register an immutable version, if its provenance is complete."""
    with RegistryClient(registry, actor=actor, on_behalf_of=on_behalf_of) as client:
        version = _new_version(model, artifact, provenance, views, score_output, reason)
        response = client.check(version) if dry_run else client.register(version)
        _conclude(response, output)


@app.command()
def check(
    model: ModelOrVersion,
    version: Number = None,
    *,
    artifact: AnyArtifact = None,
    provenance: AnyProvenance = None,
    views: AnyViews = None,
    score_output: AnyScore = None,
    registry: Registry = DEFAULT_REGISTRY,
    actor: Actor = None,
    output: Output = Format.TABLE,
) -> None:
    """Show the gate's findings about a version to register, or about MODEL@NUMBER as of now."""
    given = (artifact, provenance, views, score_output)
    is_registered = version is not None or "@" in model
    if is_registered and given != (None,) * len(given):
        raise InvalidInputError.of("version", read=f"{model} with files", accepted="one of both")
    with RegistryClient(registry, actor=actor) as client:
        if is_registered:
            named = named_version(model, version, registry, output)
            _conclude(client.recheck(named.ref), output, named)
            return
        if artifact is None or provenance is None or views is None or score_output is None:
            accepted = "MODEL@NUMBER, or --artifact, --provenance, --views and --score-output"
            raise InvalidInputError.of("version", read=model, accepted=accepted)
        new = _new_version(model, artifact, provenance, views, score_output, "check")
        _conclude(client.check(new), output)


class ExportFormat(StrEnum):
    IN_TOTO = "in-toto"
    CYCLONEDX = "cyclonedx"


@app.command()
def export(
    model: ModelOrVersion,
    version: Number = None,
    *,
    form: Annotated[ExportFormat, typer.Option("--format")] = ExportFormat.IN_TOTO,
    signing_key: Annotated[
        Path | None, typer.Option(help="Ed25519 key, PEM: sign the statement as a DSSE envelope")
    ] = None,
    registry: Registry = DEFAULT_REGISTRY,
    output: Output = Format.TABLE,
) -> None:
    """Print a version's provenance for other tools: in-toto Statement v1 or CycloneDX ML-BOM."""
    if signing_key is not None and form is not ExportFormat.IN_TOTO:
        raise InvalidInputError.of("--signing-key", read=form.value, accepted="--format in-toto")
    keys = None if signing_key is None else _signing_keys(signing_key)
    write = in_toto_statement if form is ExportFormat.IN_TOTO else ml_bom
    with RegistryClient(registry) as client:
        ref = named_version(model, version, registry, output).ref
        found = client.get_version(ref.model, ref.number)
        written = write(
            ref,
            [file_from_wire(file) for file in found.files],
            json.loads(found.provenance_json),
            provenance_digest=found.provenance_digest,
        )
        if keys is not None:
            written = keys.signed(IN_TOTO_TYPE, canonical_json(written).encode()).content
        print_json(written)


def _signing_keys(file: Path) -> SigningKeys:
    return SigningKeys.read(read_secret(file, variable="--signing-key"), "--signing-key")


app.add_typer(serve_command.app)
app.add_typer(read_commands.app)
app.add_typer(version_commands.app)
app.add_typer(deployment_commands.app)
app.add_typer(declaration_commands.app)
app.add_typer(backup_command.app)
app.add_typer(restore_command.app)
app.add_typer(database_commands.app, name="database")
app.add_typer(rollback_command.app)
app.add_typer(contract_commands.app)
app.add_typer(block_commands.app)
app.add_typer(retention_commands.app)
app.add_typer(approval_commands.app)
app.add_typer(tag_commands.app)
app.add_typer(explain_command.app)
app.add_typer(audit_commands.verify_app)
app.add_typer(audit_commands.app, name="audit")
app.add_typer(provenance_commands.app, name="provenance")
app.add_typer(identity_commands.app, name="identities")
app.add_typer(bundle_commands.app, name="bundle")
app.add_typer(import_mlflow.app)


def _conclude(
    response: pb.RegisterVersionResponse | pb.CheckVersionResponse | pb.RecheckVersionResponse,
    output: Format,
    *named: NamedVersion,
) -> None:
    print_report(response, output, *named)
    if not response.report.complete:
        findings = len(response.report.findings)
        raise RefusedError(f"the gate refuses the version: {findings} findings, all on stdout")


def _new_version(
    model: str, artifact: Path, record: Path, views: Path, score_output: str, reason: str
) -> NewVersion:
    from understudy.features.views import load_views  # noqa: PLC0415 - other commands start faster

    try:
        text = record.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        fault = Fault("--provenance", f"{record}: {error}", "a readable JSON file")
        raise InvalidInputError([fault]) from error
    return NewVersion(
        model=checked_model_name(model),
        artifact_dir=artifact,
        provenance_json=text,
        views=load_views(views),
        score_output=ScoreOutput.parse(score_output),
        reason=reason,
    )
