"""Commands that only read: versions, revisions, the state."""

from enum import StrEnum
from typing import Annotated

import typer
from google.protobuf.timestamp_pb2 import Timestamp

from registry.cli.arguments import parse_time_ns
from registry.cli.declaration_file import declaration_text
from registry.cli.named_version import named_version
from registry.cli.options import AnyModel, Model, ModelOrVersion, Number, Registry
from registry.cli.output import print_history, print_state
from registry.cli.paging import Limit, say_more
from registry.cli.status_output import print_status
from registry.cli.version_output import print_version, print_versions
from understudy.control.client import DEFAULT_REGISTRY, RegistryClient
from understudy.control.wire import deployment_from_wire
from understudy.control.wire_values import GREATEST_NUMBER, ref_to_wire
from understudy.domain.errors import InvalidInputError, NotFoundError
from understudy.domain.versions import VersionRef
from understudy.registry.v1 import registry_pb2 as pb
from understudy.runtime.terminal.output_option import Format, Output

app = typer.Typer()


@app.command("list")
def list_(
    model: AnyModel = None,
    *,
    limit: Annotated[int, typer.Option(min=1, max=100, help="most versions to list")] = 100,
    after: Annotated[str | None, typer.Option(help="MODEL@NUMBER; list those after it")] = None,
    registry: Registry = DEFAULT_REGISTRY,
    output: Output = Format.TABLE,
) -> None:
    """List versions with their parts."""
    request = pb.ListVersionsRequest(model=model, limit=limit)
    if after is not None:
        request.after.CopyFrom(ref_to_wire(VersionRef.parse(after, "--after")))
    with RegistryClient(registry) as client:
        page = client.versions_page(request)
        print_versions(page.versions, client.get_status(model), output)
    if page.has_more:
        last = page.versions[-1].ref
        say_more(f"--after {last.model}@{last.number}")


@app.command()
def show(
    model: ModelOrVersion,
    version: Number = None,
    registry: Registry = DEFAULT_REGISTRY,
    output: Output = Format.TABLE,
) -> None:
    """Show a version with its part and its provenance record."""
    with RegistryClient(registry) as client:
        named = named_version(model, version, registry, output)
        found = client.get_version(named.ref.model, named.ref.number)
        print_version(found, client.get_status(named.ref.model), output, named)


@app.command()
def history(
    model: Model,
    *,
    limit: Limit = 100,
    before: Annotated[
        int | None,
        typer.Option(min=1, max=GREATEST_NUMBER, help="number of a revision; list those before it"),
    ] = None,
    registry: Registry = DEFAULT_REGISTRY,
    output: Output = Format.TABLE,
) -> None:
    """List a deployment's revisions, oldest first."""
    request = pb.ListRevisionsRequest(model=model, limit=limit, before=before)
    with RegistryClient(registry) as client:
        page = client.revisions_page(request)
    print_history(page.revisions, output)
    if page.has_more:
        say_more(f"--before {page.revisions[0].deployment.revision}")


@app.command()
def state(
    model: Model,
    *,
    at: Annotated[str, typer.Option(help="time, ISO 8601; without a zone it is UTC")],
    registry: Registry = DEFAULT_REGISTRY,
    output: Output = Format.TABLE,
) -> None:
    """Show the revision that was declared at a time, with its author and reason."""
    until = Timestamp()
    until.FromNanoseconds(parse_time_ns(at, "--at"))
    request = pb.ListRevisionsRequest(model=model, limit=1, until=until)
    with RegistryClient(registry) as client:
        page = client.revisions_page(request)
    if not page.revisions:
        raise NotFoundError("deployment of", f"{model} at {at}")
    print_state(page.revisions[0], output)


class StatusFormat(StrEnum):
    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


@app.command()
def status(
    model: AnyModel = None,
    registry: Registry = DEFAULT_REGISTRY,
    output: Annotated[
        StatusFormat,
        typer.Option(help="table for people, json for programs, yaml: the file for `apply`"),
    ] = StatusFormat.TABLE,
) -> None:
    """Show the declared state next to the reports of hosts and routers."""
    with RegistryClient(registry) as client:
        if output is not StatusFormat.YAML:
            print_status(client.get_status(model), Format(output))
        elif model is None:
            accepted = "the name of one model with --output yaml"
            raise InvalidInputError.of("MODEL", read=None, accepted=accepted)
        else:
            found = deployment_from_wire(client.get_deployment(model))
            typer.echo(declaration_text(found), nl=False)
