"""Commands for auditors: list the log, verify it, export it, sign and keep its head."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from registry.cli.named_files import new_file, text_of, trusted_keys
from registry.cli.named_version import NamedVersion, named_version, print_named_json
from registry.cli.options import AnyModel, ModelOrVersion, Number, Registry
from registry.cli.output import print_audit, shown_time
from registry.cli.paging import Limit, say_more
from understudy.control.client import DEFAULT_REGISTRY, RegistryClient
from understudy.control.wire_values import GREATEST_NUMBER
from understudy.domain.errors import CheckFailedError, InvalidInputError
from understudy.provenance.dsse import AUDIT_HEAD_TYPE, envelope_from_json
from understudy.provenance.signing_keys import SigningKeys, new_private_key
from understudy.registry.v1 import registry_pb2 as pb
from understudy.runtime.command_line import CommandGroup
from understudy.runtime.terminal.json_output import print_json
from understudy.runtime.terminal.message_values import message_value
from understudy.runtime.terminal.output_option import Format, Output
from understudy.runtime.terminal.screen import Screen

if TYPE_CHECKING:
    from registry.decisions.audit_head import AuditHead

app = typer.Typer(
    cls=CommandGroup, no_args_is_help=True, help="The audit log: list, verify, export, sign."
)
verify_app = typer.Typer(cls=CommandGroup, add_completion=False)

Heads = Annotated[
    Path | None, typer.Option("--head", help="file with signed heads, one a line, kept elsewhere")
]
Trusted = Annotated[
    Path | None, typer.Option("--trusted-key", help="file with public keys of the registry, PEM")
]


@app.command("list")
def list_(
    model: AnyModel = None,
    *,
    limit: Limit = 100,
    before: Annotated[
        int | None,
        typer.Option(min=1, max=GREATEST_NUMBER, help="number of a row; list those before it"),
    ] = None,
    verified: Annotated[
        bool, typer.Option("--verify", help="verify the log first; this reads all of it")
    ] = False,
    registry: Registry = DEFAULT_REGISTRY,
    output: Output = Format.TABLE,
) -> None:
    """List the last changes with actor, time and reason."""
    request = pb.ListAuditRequest(model=model, limit=limit, before=before, unverified=not verified)
    with RegistryClient(registry) as client:
        response = client.audit_page(request)
    print_audit(response, output)
    if response.has_more:
        say_more(f"--before {response.entries[0].sequence}")
    if not verified and output is Format.TABLE:
        Screen(stderr=True).say("not verified: audit verify and --verify read all of the log")
    _fail_by(response.faults)


@app.command()
def refusals(
    *,
    limit: Limit = 100,
    before: Annotated[
        int | None,
        typer.Option(min=1, max=GREATEST_NUMBER, help="number of a row; list those before it"),
    ] = None,
    registry: Registry = DEFAULT_REGISTRY,
    output: Output = Format.TABLE,
) -> None:
    """List refused attempts, by minute, caller, call and reason; they are written once a minute."""
    with RegistryClient(registry) as client:
        page = client.refusals_page(pb.ListRefusalsRequest(limit=limit, before=before))
    if output is Format.JSON:
        print_json(message_value(page))
    else:
        Screen().table(
            ("#", "minute", "by", "from", "call", "reason", "attempts"),
            [
                (
                    str(each.sequence),
                    shown_time(each.minute),
                    each.actor or "no name",
                    each.peer,
                    each.call,
                    each.reason,
                    str(each.attempts),
                )
                for each in page.refusals
            ],
        )
    if page.has_more:
        say_more(f"--before {page.refusals[0].sequence}")


@app.command()
def verify(
    *,
    export: Annotated[
        Path | None, typer.Option(help="verify this export instead of a registry")
    ] = None,
    head: Heads = None,
    trusted_key: Trusted = None,
    registry: Registry = DEFAULT_REGISTRY,
    output: Output = Format.TABLE,
) -> None:
    """Compute all digests anew: rows, artifacts (not of an export), and the chain up to kept heads."""
    if (head is None) is not (trusted_key is None):
        read = "--head alone" if trusted_key is None else "--trusted-key alone"
        raise InvalidInputError.of("--head", read=read, accepted="--head with --trusted-key")
    heads = _heads_of(head, trusted_key)
    if export is not None:
        _judge_text(text_of(export, "--export"), heads, output)
        return
    with RegistryClient(registry) as client:
        if heads:
            _judge_text(b"".join(client.export_audit()).decode(), heads, None)
        _conclude(client.verify(), output)


@app.command("export")
def export_(
    file: Annotated[Path, typer.Argument(help="file to write, JSON lines")],
    registry: Registry = DEFAULT_REGISTRY,
    output: Output = Format.TABLE,
) -> None:
    """Write every row that the log covers to a file, which can be verified without the registry."""
    size_bytes = 0
    with RegistryClient(registry) as client, new_file(file, 0o666) as new:
        for piece in client.export_audit():
            size_bytes += new.write(piece)
    if output is Format.JSON:
        print_json({"file": file, "size_bytes": size_bytes})
    else:
        Screen().say(f"wrote {size_bytes} bytes to {file}")


@app.command()
def head(
    registry: Registry = DEFAULT_REGISTRY,
    output: Output = Format.TABLE,  # noqa: ARG001 - for a failure; what is printed is JSON
) -> None:
    """Print the head of the log as one line of JSON: signed, if the registry has a key."""
    with RegistryClient(registry) as client:
        found = client.get_audit_head()
    typer.echo(found.envelope_json if found.HasField("envelope_json") else found.document)


@app.command("new-key")
def new_key(
    file: Annotated[Path, typer.Argument(help="file for the private key; .pub has the public one")],
    output: Output = Format.TABLE,
) -> None:
    """Make an Ed25519 key with which a registry signs (REGISTRY_SIGNING_KEY_FILE)."""
    private = new_private_key()
    public_file = file.with_name(f"{file.name}.pub")
    with new_file(public_file, 0o644) as public_new, new_file(file, 0o600) as new:
        public_new.write(SigningKeys.read(private, "key").public_pem.encode())
        new.write(private.encode())
    if output is Format.JSON:
        print_json({"private": file, "public": public_file})
    else:
        Screen().say(f"wrote {file} (keep it secret) and {public_file} (give it to auditors)")


@verify_app.command("verify")
def verify_version(
    model: ModelOrVersion,
    version: Number = None,
    registry: Registry = DEFAULT_REGISTRY,
    output: Output = Format.TABLE,
) -> None:
    """Hash every byte of a version's artifact and every row anew, and compare with the audit log."""
    named = named_version(model, version, registry, output)
    with RegistryClient(registry) as client:
        _conclude(client.verify(named.ref), output, named)


def _heads_of(head: Path | None, trusted_key: Path | None) -> "list[AuditHead]":
    if head is None or trusted_key is None:
        return []
    from registry.decisions.audit_head import head_from_document  # noqa: PLC0415 - others start faster

    trusted = trusted_keys(trusted_key)
    lines = text_of(head, "--head").splitlines()
    if not lines:  # it would prove nothing, and be reported as a verification
        raise InvalidInputError.of("--head", read=f"no line in {head}", accepted="a head a line")
    envelopes = [envelope_from_json(line, "--head") for line in lines]
    return [
        head_from_document(trusted.payload_of(each, AUDIT_HEAD_TYPE).decode()) for each in envelopes
    ]


def _judge_text(text: str, heads: "list[AuditHead]", output: Format | None) -> None:
    from registry.export import lines_of  # noqa: PLC0415 - others start faster
    from registry.verify_export import verify_export  # noqa: PLC0415 - as above

    found = verify_export(lines_of(text), heads)
    if output is Format.JSON:
        print_json({"faults": found.faults, "audit_rows": found.audit_rows, "heads": len(heads)})
    elif output is Format.TABLE:
        Screen().say(f"{found.audit_rows} rows of the log, {len(heads)} heads verified")
    _fail_by(found.faults)


def _conclude(response: pb.VerifyRegistryResponse, output: Format, *named: NamedVersion) -> None:
    if output is Format.JSON:
        print_named_json(message_value(response), *named)
    else:
        Screen().say(
            f"{response.audit_rows} rows of the log, {response.versions} versions, "
            f"{response.revisions} revisions, {response.files} files of {response.size_bytes} bytes"
        )
        if response.collected_count:
            listed = ", ".join(f"{each.model}@{each.number}" for each in response.collected)
            more = ", …" if response.collected_count > len(response.collected) else ""
            Screen().say(
                f"collected, not verified: the artifacts of {response.collected_count} versions: "
                f"{listed}{more}"
            )
    _fail_by(response.faults)


def _fail_by(faults: Sequence[str]) -> None:
    if faults:
        broken = [CheckFailedError(f"audit log: {fault}") for fault in faults]
        raise ExceptionGroup("the registry is not intact", broken)
