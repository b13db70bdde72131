"""The operators' commands: `understudy registry …`."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from domain.errors import (
    Fault,
    InvalidInputError,
    NotFoundError,
    UnavailableError,
    UnderstudyError,
)
from domain.versions import ScoreOutput, checked_model_name
from registry.arguments import parse_share, parse_version
from registry.client import DEFAULT_REGISTRY, NewVersion, RegistryClient, default_actor
from registry.decisions.changes import (
    Change,
    DeployChampion,
    Promote,
    Rollback,
    SetCanary,
    SetShadow,
)
from registry.output import (
    Format,
    print_audit,
    print_change,
    print_history,
    print_report,
    print_status,
    print_version,
    print_versions,
)
from runtime.exit_codes import FAILED, REFUSED, UNAVAILABLE, USAGE
from runtime.lifecycle import run
from runtime.logs import configure_logs
from runtime.settings import load_settings

app = typer.Typer(no_args_is_help=True, help="Versions, deployments, audit.", add_completion=False)
provenance = typer.Typer(no_args_is_help=True, help="Write a version's provenance record.")
app.add_typer(provenance, name="provenance")

Registry = Annotated[
    str, typer.Option("--registry", envvar="UNDERSTUDY_REGISTRY", help="HOST:PORT of the registry")
]
Actor = Annotated[
    str | None, typer.Option("--actor", envvar="UNDERSTUDY_ACTOR", help="who acts [user@host]")
]
Output = Annotated[Format, typer.Option("--output", help="table or json")]
Reason = Annotated[str, typer.Option("--reason", help="why; goes to the audit log")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="say what would change, change nothing")]
Expect = Annotated[
    int | None,
    typer.Option("--expect-revision", min=0, help="refuse unless this is the current revision"),
]
Model = Annotated[str, typer.Argument(help="MODEL, or MODEL@NUMBER with nothing after it")]
Number = Annotated[str | None, typer.Argument(help="version: 7 or MODEL@7")]


@app.command()
def serve(
    *,
    directory: Annotated[Path | None, typer.Option("--dir", help="database and artifacts")] = None,
    listen: Annotated[str | None, typer.Option(help="HOST:PORT [127.0.0.1:8500]")] = None,
    print_settings: Annotated[bool, typer.Option("--print-settings")] = False,
) -> None:
    """Serve the registry until SIGTERM. Settings: REGISTRY_* in the environment."""
    from registry.app import serve as serve_registry  # noqa: PLC0415 - other commands start faster
    from registry.settings import RegistrySettings  # noqa: PLC0415 - as above

    overrides = {"dir": directory, "listen": listen}
    settings = load_settings(RegistrySettings, overrides, print_and_exit=print_settings)
    configure_logs("registry", level=settings.log_level)
    raise typer.Exit(run(lambda: serve_registry(settings)))


@app.command()
def register(
    model: Annotated[str, typer.Argument(help="name of the model")],
    *,
    artifact: Annotated[Path, typer.Option(help="directory with model.onnx and golden.npz")],
    provenance_file: Annotated[Path, typer.Option("--provenance", help="the record, JSON")],
    views: Annotated[Path, typer.Option(help="feature views, YAML")],
    score_output: Annotated[str, typer.Option(help="OUTPUT or OUTPUT:COLUMN")],
    reason: Reason,
    dry_run: DryRun = False,
    registry: Registry = DEFAULT_REGISTRY,
    actor: Actor = None,
    output: Output = Format.TABLE,
) -> None:
    """Register an immutable version, if its provenance is complete."""
    with _outcomes(), RegistryClient(registry, actor=actor) as client:
        version = _new_version(model, artifact, provenance_file, views, score_output, reason)
        response = client.check(version) if dry_run else client.register(version)
        print_report(response, output)
        if not response.report.complete:
            raise typer.Exit(REFUSED)


@app.command()
def check(
    model: Annotated[str, typer.Argument(help="name of the model")],
    *,
    artifact: Annotated[Path, typer.Option(help="directory with model.onnx and golden.npz")],
    provenance_file: Annotated[Path, typer.Option("--provenance", help="the record, JSON")],
    views: Annotated[Path, typer.Option(help="feature views, YAML")],
    score_output: Annotated[str, typer.Option(help="OUTPUT or OUTPUT:COLUMN")],
    registry: Registry = DEFAULT_REGISTRY,
    actor: Actor = None,
    output: Output = Format.TABLE,
) -> None:
    """Say what keeps a version from being registered; register nothing."""
    with _outcomes(), RegistryClient(registry, actor=actor) as client:
        version = _new_version(model, artifact, provenance_file, views, score_output, "check")
        response = client.check(version)
        print_report(response, output)
        if not response.report.complete:
            raise typer.Exit(REFUSED)


@app.command("list")
def list_(
    model: Annotated[str, typer.Argument(help="name of the model [all]")] = "",
    registry: Registry = DEFAULT_REGISTRY,
    output: Output = Format.TABLE,
) -> None:
    """List versions."""
    with _outcomes(), RegistryClient(registry) as client:
        print_versions(client.list_versions(model), output)


@app.command()
def show(
    model: Model,
    version: Number = None,
    registry: Registry = DEFAULT_REGISTRY,
    output: Output = Format.TABLE,
) -> None:
    """Show a version with its provenance record."""
    with _outcomes(), RegistryClient(registry) as client:
        ref = parse_version(model, version)
        print_version(client.get_version(ref.model, ref.number), output)


@app.command()
def deploy(
    model: Model,
    version: Number = None,
    *,
    reason: Reason,
    dry_run: DryRun = False,
    expect_revision: Expect = None,
    registry: Registry = DEFAULT_REGISTRY,
    actor: Actor = None,
    output: Output = Format.TABLE,
) -> None:
    """Make a version the champion."""
    with _outcomes():
        ref = parse_version(model, version)
        change = DeployChampion(ref.number)
        _change(
            ref.model,
            change,
            reason=reason,
            dry_run=dry_run,
            expect_revision=expect_revision,
            client=RegistryClient(registry, actor=actor),
            output=output,
        )


@app.command()
def shadow(
    model: Model,
    version: Number = None,
    *,
    reason: Reason,
    sample: Annotated[
        str, typer.Option(help="share of answered traffic, e.g. 100%; 0% ends it")
    ] = "100%",
    dry_run: DryRun = False,
    expect_revision: Expect = None,
    registry: Registry = DEFAULT_REGISTRY,
    actor: Actor = None,
    output: Output = Format.TABLE,
) -> None:
    """Let a version rehearse on mirrored traffic, unseen by callers."""
    with _outcomes():
        ref = parse_version(model, version)
        change = SetShadow(ref.number, parse_share(sample, "--sample"))
        _change(
            ref.model,
            change,
            reason=reason,
            dry_run=dry_run,
            expect_revision=expect_revision,
            client=RegistryClient(registry, actor=actor),
            output=output,
        )


@app.command()
def canary(
    model: Model,
    version: Number = None,
    *,
    reason: Reason,
    weight: Annotated[
        str, typer.Option(help="share of live traffic, e.g. 10% or 250bp; 0% ends it")
    ],
    dry_run: DryRun = False,
    expect_revision: Expect = None,
    registry: Registry = DEFAULT_REGISTRY,
    actor: Actor = None,
    output: Output = Format.TABLE,
) -> None:
    """Give a challenger a share of live traffic."""
    with _outcomes():
        ref = parse_version(model, version)
        change = SetCanary(ref.number, parse_share(weight, "--weight"))
        _change(
            ref.model,
            change,
            reason=reason,
            dry_run=dry_run,
            expect_revision=expect_revision,
            client=RegistryClient(registry, actor=actor),
            output=output,
        )


@app.command()
def promote(
    model: Model,
    version: Number = None,
    *,
    reason: Reason,
    dry_run: DryRun = False,
    expect_revision: Expect = None,
    registry: Registry = DEFAULT_REGISTRY,
    actor: Actor = None,
    output: Output = Format.TABLE,
) -> None:
    """Make a challenger the champion; without a version, the only one."""
    with _outcomes():
        if version is None and "@" not in model:
            name, change = checked_model_name(model), Promote()
        else:
            ref = parse_version(model, version)
            name, change = ref.model, Promote(ref.number)
        _change(
            name,
            change,
            reason=reason,
            dry_run=dry_run,
            expect_revision=expect_revision,
            client=RegistryClient(registry, actor=actor),
            output=output,
        )


@app.command()
def rollback(
    model: Annotated[str, typer.Argument(help="name of the model")],
    *,
    reason: Reason,
    to_revision: Annotated[
        int | None, typer.Option(min=1, help="revision to return to [the one before]")
    ] = None,
    dry_run: DryRun = False,
    expect_revision: Expect = None,
    registry: Registry = DEFAULT_REGISTRY,
    actor: Actor = None,
    output: Output = Format.TABLE,
) -> None:
    """Return to an earlier revision, by a new one equal to it."""
    with _outcomes():
        _change(
            checked_model_name(model),
            Rollback(to_revision),
            reason=reason,
            dry_run=dry_run,
            expect_revision=expect_revision,
            client=RegistryClient(registry, actor=actor),
            output=output,
        )


@app.command()
def history(
    model: Annotated[str, typer.Argument(help="name of the model")],
    registry: Registry = DEFAULT_REGISTRY,
    output: Output = Format.TABLE,
) -> None:
    """List a deployment's revisions."""
    with _outcomes(), RegistryClient(registry) as client:
        print_history(client.list_revisions(model), output)


@app.command()
def status(
    model: Annotated[str, typer.Argument(help="name of the model [all]")] = "",
    registry: Registry = DEFAULT_REGISTRY,
    output: Output = Format.TABLE,
) -> None:
    """Show what is declared and what is observed."""
    with _outcomes(), RegistryClient(registry) as client:
        print_status(client.get_status(model), output)


@app.command()
def audit(
    model: Annotated[str, typer.Argument(help="name of the model [all]")] = "",
    registry: Registry = DEFAULT_REGISTRY,
    output: Output = Format.TABLE,
) -> None:
    """List who changed what, when and why; fails when the log was tampered with."""
    with _outcomes(), RegistryClient(registry) as client:
        response = client.list_audit(model)
        print_audit(response, output)
        if not response.chain_intact:
            for fault in response.faults:
                typer.echo(f"audit log: {fault}", err=True)
            raise typer.Exit(FAILED)


@provenance.command("init")
def init_provenance(
    *,
    file: Annotated[Path, typer.Argument(help="file to write")] = Path("provenance.json"),
    directory: Annotated[Path, typer.Option("--dir", help="where the training code is")] = Path(),
    lockfile: Annotated[Path | None, typer.Option(help="lockfile of the environment")] = None,
    actor: Actor = None,
) -> None:
    """Write a record with what this machine knows; null stands where you must speak."""
    from registry.provenance.skeleton import record_skeleton  # noqa: PLC0415 - as above

    with _outcomes():
        record = record_skeleton(directory, lockfile, author=actor or default_actor())
        try:
            with file.open("x") as target:
                json.dump(record, target, indent=2)
        except OSError as error:
            fault = Fault("file", f"{file}: {error.strerror}", "a new file")
            raise InvalidInputError([fault]) from error
        typer.echo(f"wrote {file}; fill what is null, then: understudy registry check")


@provenance.command("fields")
def provenance_fields() -> None:
    """Print every field of the record and what satisfies it, as a Markdown table."""
    from registry.provenance.field_table import field_table  # noqa: PLC0415 - as above

    typer.echo(field_table(), nl=False)


def _change(
    model: str,
    change: Change,
    *,
    reason: str,
    dry_run: bool,
    expect_revision: int | None,
    client: RegistryClient,
    output: Format,
) -> None:
    with client:
        response = client.change(
            model, change, reason=reason, dry_run=dry_run, expect_revision=expect_revision
        )
    print_change(response, output)


def _new_version(
    model: str, artifact: Path, provenance_file: Path, views: Path, score_output: str, reason: str
) -> NewVersion:
    from features.views import load_views  # noqa: PLC0415 - other commands start faster

    output, separator, column = score_output.rpartition(":")
    if not (separator and column.isdigit()):
        output, column = score_output, "0"
    try:
        record = provenance_file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        fault = Fault("--provenance", f"{provenance_file}: {error}", "a readable JSON file")
        raise InvalidInputError([fault]) from error
    return NewVersion(
        model=checked_model_name(model),
        artifact_dir=artifact,
        provenance_json=record,
        views=load_views(views),
        score_output=ScoreOutput(output, int(column)),
        reason=reason,
    )


@contextmanager
def _outcomes() -> Iterator[None]:
    """Turn an expected failure into one line on stderr and its exit code."""
    try:
        yield
    except UnderstudyError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(_exit_code(error)) from error


def _exit_code(error: UnderstudyError) -> int:
    if isinstance(error, UnavailableError):
        return UNAVAILABLE
    # What the registry itself answers has other classes: these two are about the command's words.
    return USAGE if isinstance(error, InvalidInputError | NotFoundError) else REFUSED
