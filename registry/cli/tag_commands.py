"""Commands about tags: names of versions for people."""

from typing import Annotated

import typer

from registry.cli.named_version import NamedVersion, named_version, print_named_json
from registry.cli.options import Actor, DryRun, Model, OnBehalfOf, Reason, Registry
from registry.cli.output import shown_time
from understudy.control.client import DEFAULT_REGISTRY, RegistryClient
from understudy.control.wire_values import ref_from_wire
from understudy.domain.versions import checked_model_name
from understudy.registry.v1 import registry_pb2 as pb
from understudy.runtime.command_line import CommandGroup
from understudy.runtime.terminal.json_output import print_json
from understudy.runtime.terminal.message_values import message_value
from understudy.runtime.terminal.output_option import Format, Output
from understudy.runtime.terminal.screen import Screen

TagName = Annotated[str, typer.Argument(help="name of the tag, e.g. baseline")]

app = typer.Typer(cls=CommandGroup, add_completion=False)


@app.command()
def tag(
    version: Annotated[str, typer.Argument(help="MODEL@NUMBER, or MODEL@TAG")],
    name: TagName,
    *,
    reason: Reason,
    move: Annotated[
        bool, typer.Option("--move", help="take it from the version that has it")
    ] = False,
    dry_run: DryRun = False,
    registry: Registry = DEFAULT_REGISTRY,
    actor: Actor = None,
    on_behalf_of: OnBehalfOf = None,
    output: Output = Format.TABLE,
) -> None:
    """Give a version a name for people, unique in its model; it changes no traffic."""
    named = named_version(version, None, registry, output)
    ref = named.ref
    request = pb.SetTagRequest(
        model=ref.model, name=name, number=ref.number, move=move, reason=reason, dry_run=dry_run
    )
    with RegistryClient(registry, actor=actor, on_behalf_of=on_behalf_of) as client:
        done = client.set_tag(request)
    verb = "has" if done.applied else "would have"
    before = f"; {ref.model}@{done.before} had it" if done.HasField("before") else ""
    _report(done, output, f"{ref} {verb} the tag {name}{before}; no traffic changes", named)


@app.command()
def untag(
    model: Model,
    name: TagName,
    *,
    reason: Reason,
    dry_run: DryRun = False,
    registry: Registry = DEFAULT_REGISTRY,
    actor: Actor = None,
    on_behalf_of: OnBehalfOf = None,
    output: Output = Format.TABLE,
) -> None:
    """Remove a tag from the version that has it."""
    request = pb.SetTagRequest(
        model=checked_model_name(model), name=name, reason=reason, dry_run=dry_run
    )
    with RegistryClient(registry, actor=actor, on_behalf_of=on_behalf_of) as client:
        done = client.set_tag(request)
    verb = "has lost" if done.applied else "would lose"
    _report(done, output, f"{model}@{done.before} {verb} the tag {name}; no traffic changes")


@app.command()
def tags(
    model: Model,
    registry: Registry = DEFAULT_REGISTRY,
    output: Output = Format.TABLE,
) -> None:
    """List the tags of a model, each with its version, author and reason."""
    with RegistryClient(registry) as client:
        found = client.list_tags(checked_model_name(model))
    if output is Format.JSON:
        print_json(message_value(found))
        return
    rows = [
        (
            each.name,
            str(ref_from_wire(each.ref)),
            shown_time(each.at),
            each.actor,
            each.reason,
        )
        for each in found.tags
    ]
    Screen().table(("tag", "version", "since", "by", "reason"), rows)


def _report(done: pb.SetTagResponse, output: Format, text: str, *named: NamedVersion) -> None:
    if output is Format.JSON:
        print_named_json(message_value(done), *named)
    else:
        Screen().say(text)
