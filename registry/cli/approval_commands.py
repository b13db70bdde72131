"""Commands of approvals: votes on versions, and the number of them that a model demands."""

from enum import StrEnum
from typing import Annotated

import typer

from registry.cli.named_version import NamedVersion, named_version, print_named_json
from registry.cli.options import DryRun, Model, ModelOrVersion, Number, Reason, Registry
from registry.cli.output import approval_text, shown_time
from understudy.control.client import DEFAULT_REGISTRY, RegistryClient
from understudy.control.wire_values import ref_to_wire
from understudy.domain.versions import checked_model_name
from understudy.registry.v1 import registry_pb2 as pb
from understudy.runtime.command_line import CommandGroup
from understudy.runtime.terminal.json_output import print_json
from understudy.runtime.terminal.message_values import message_value
from understudy.runtime.terminal.output_option import Format, Output
from understudy.runtime.terminal.plain_text import shown
from understudy.runtime.terminal.screen import Screen

app = typer.Typer(cls=CommandGroup, add_completion=False)

_DAY_S = 86_400.0

Content = Annotated[
    str | None,
    typer.Option("--content", help="digest of the content that was looked at, as in `show`"),
]


class Approvers(StrEnum):
    """The number of people who must approve a version."""

    NONE = "none"
    ONE = "one"
    TWO = "two"


_NUMBERS = {Approvers.NONE: 0, Approvers.ONE: 1, Approvers.TWO: 2}


@app.command()
def approve(
    model: ModelOrVersion,
    version: Number = None,
    *,
    content: Content = None,
    days: Annotated[
        float | None,
        typer.Option(min=0.0, help="days for which it counts [the longest of the registry]"),
    ] = None,
    reason: Reason,
    dry_run: DryRun = False,
    registry: Registry = DEFAULT_REGISTRY,
    output: Output = Format.TABLE,
) -> None:
    """Approve a version that someone else made, so that it may answer callers."""
    named = named_version(model, version, registry, output)
    request = pb.CastVoteRequest(
        ref=ref_to_wire(named.ref),
        kind=pb.VOTE_KIND_APPROVE,
        reason=reason,
        content_digest=content,
        lasts_s=None if days is None else days * _DAY_S,
        dry_run=dry_run,
    )
    with RegistryClient(registry) as client:
        _report(named, client.cast_vote(request), output)


@app.command()
def reject(
    model: ModelOrVersion,
    version: Number = None,
    *,
    content: Content = None,
    reason: Reason,
    dry_run: DryRun = False,
    registry: Registry = DEFAULT_REGISTRY,
    output: Output = Format.TABLE,
) -> None:
    """Reject a version: its approvals count no longer. Traffic that it has stays (see `block`)."""
    named = named_version(model, version, registry, output)
    request = pb.CastVoteRequest(
        ref=ref_to_wire(named.ref),
        kind=pb.VOTE_KIND_REJECT,
        reason=reason,
        content_digest=content,
        dry_run=dry_run,
    )
    with RegistryClient(registry) as client:
        _report(named, client.cast_vote(request), output)


@app.command("require-approval")
def require_approval(
    model: Model,
    approvers: Annotated[Approvers, typer.Argument(help="people who must approve a version")],
    *,
    reason: Reason,
    dry_run: DryRun = False,
    registry: Registry = DEFAULT_REGISTRY,
    output: Output = Format.TABLE,
) -> None:
    """Set the number of people who must approve a version of a model before it answers callers."""
    request = pb.SetApprovalPolicyRequest(
        model=checked_model_name(model),
        approvers=_NUMBERS[approvers],
        reason=reason,
        dry_run=dry_run,
    )
    with RegistryClient(registry) as client:
        done = client.set_approval_policy(request)
    if output is Format.JSON:
        print_json(message_value(done))
        return
    screen, verb = Screen(), "needs" if done.applied else "would need"
    screen.say(f"a version of {model} {verb} {done.policy.approvers} approvals to answer callers")
    if done.unapproved:
        listed = ", ".join(f"{model}@{number}" for number in done.unapproved)
        screen.say(f"{listed} answer now with fewer; they go on, and get no more traffic")


def _report(named: NamedVersion, done: pb.CastVoteResponse, output: Format) -> None:
    if output is Format.JSON:
        print_named_json(message_value(done), named)
        return
    verb = "is" if done.applied else "would be"
    effect = "approved" if done.vote.kind == pb.VOTE_KIND_APPROVE else "rejected"
    until = ""
    if done.vote.HasField("expires"):
        until = f" until {shown(shown_time(done.vote.expires))}"
    Screen().say(
        f"{named.ref} {verb} {effect} by {done.vote.actor}{until}; {approval_text(done.approval)}"
    )
