"""Commands about the end of versions: retirement, and the collection of their artifacts."""

from typing import Annotated

import typer

from registry.cli.await_effect import looking_at
from registry.cli.expected_revision import require_terminal
from registry.cli.make_change import report_effect
from registry.cli.named_version import NamedVersion, named_version, resolved_tags
from registry.cli.options import (
    Actor,
    AnyModel,
    DryRun,
    ModelOrVersion,
    Number,
    OnBehalfOf,
    Reason,
    Registry,
    Wait,
)
from registry.decisions.effect import AwaitedState
from understudy.control.client import DEFAULT_REGISTRY, RegistryClient
from understudy.control.wire_values import ref_from_wire, ref_to_wire
from understudy.domain.errors import RefusedError
from understudy.domain.versions import VersionRef
from understudy.registry.v1 import registry_pb2 as pb
from understudy.runtime.command_line import CommandGroup
from understudy.runtime.terminal.json_output import print_json
from understudy.runtime.terminal.message_values import message_value
from understudy.runtime.terminal.output_option import Format, Output
from understudy.runtime.terminal.screen import Screen

_ACCEPTED = "the plan that `gc --dry-run` shows; at a terminal it can be left out"

app = typer.Typer(cls=CommandGroup, add_completion=False)


@app.command()
def retire(
    model: ModelOrVersion,
    version: Number = None,
    *,
    reason: Reason,
    dry_run: DryRun = False,
    wait: Wait = True,
    registry: Registry = DEFAULT_REGISTRY,
    actor: Actor = None,
    on_behalf_of: OnBehalfOf = None,
    output: Output = Format.TABLE,
) -> None:
    """Let a version without a part take none any more, and let `gc` collect its artifact."""
    named = named_version(model, version, registry, output)
    request = _request(named.ref, reason, retired=True, dry_run=dry_run)
    with RegistryClient(registry, actor=actor, on_behalf_of=on_behalf_of) as client:
        _set_retirement(client, request, output, named, wait=wait)


@app.command()
def reinstate(
    model: ModelOrVersion,
    version: Number = None,
    *,
    reason: Reason,
    dry_run: DryRun = False,
    wait: Wait = True,
    registry: Registry = DEFAULT_REGISTRY,
    actor: Actor = None,
    on_behalf_of: OnBehalfOf = None,
    output: Output = Format.TABLE,
) -> None:
    """End the retirement of a version; a collected artifact stays collected."""
    named = named_version(model, version, registry, output)
    request = _request(named.ref, reason, retired=False, dry_run=dry_run)
    with RegistryClient(registry, actor=actor, on_behalf_of=on_behalf_of) as client:
        _set_retirement(client, request, output, named, wait=wait)


@app.command()
def gc(
    model: AnyModel = None,
    *,
    reason: Reason,
    keep_revisions: Annotated[
        int,
        typer.Option(
            min=1, max=1000, help="newest revisions of each model that keep their versions"
        ),
    ] = 20,
    least_age_days: Annotated[
        int,
        typer.Option(min=0, max=36_500, help="days since the registration; retired ones need none"),
    ] = 90,
    plan: Annotated[
        str | None, typer.Option(help="digest of the plan of a dry run [a terminal asks]")
    ] = None,
    dry_run: DryRun = False,
    registry: Registry = DEFAULT_REGISTRY,
    actor: Actor = None,
    on_behalf_of: OnBehalfOf = None,
    output: Output = Format.TABLE,
) -> None:
    """Remove artifact bytes that no revision in effect, recent revision or rollback target needs."""
    request = pb.CollectArtifactsRequest(
        model=model,
        keep_revisions=keep_revisions,
        least_age_days=least_age_days,
        reason=reason,
        expect_plan=plan,
    )
    with RegistryClient(registry, actor=actor, on_behalf_of=on_behalf_of) as client:
        if plan is None and not dry_run:
            require_terminal("--plan", _ACCEPTED)
            request.dry_run = True
            planned = client.collect(request)
            _print_collected(planned, Screen(stderr=True))
            if not typer.confirm("Remove these bytes?", err=True):
                raise RefusedError("not confirmed: nothing was removed")
            request.expect_plan = planned.plan
        request.dry_run = dry_run
        done = client.collect(request)
    if output is Format.JSON:
        print_json(message_value(done))
    else:
        _print_collected(done, Screen())


def _request(
    ref: VersionRef, reason: str, *, retired: bool, dry_run: bool
) -> pb.SetRetirementRequest:
    return pb.SetRetirementRequest(
        ref=ref_to_wire(ref), retired=retired, reason=reason, dry_run=dry_run
    )


def _set_retirement(
    client: RegistryClient,
    request: pb.SetRetirementRequest,
    output: Format,
    named: NamedVersion,
    *,
    wait: bool,
) -> None:
    ref, retired = named.ref, request.retired
    done = client.set_retirement(request)
    subject = f"the {'retirement' if retired else 'reinstatement'} of {ref}"
    awaited = AwaitedState(subject, done.lineage, done.sequence, ended=ref if retired else None)
    report_effect(
        awaited if wait and done.applied else None,
        looking_at(client, ref.model),
        output,
        print_table=lambda: _print_retirement(ref, done, retired=retired),
        content={**message_value(done), **resolved_tags(named)},
    )


def _print_retirement(ref: VersionRef, done: pb.SetRetirementResponse, *, retired: bool) -> None:
    verb = "is" if done.applied else "would be"
    effect = "retired" if retired else "no longer retired"
    can = "no rollback to" if retired else "a rollback may return to"
    revisions = ", ".join(map(str, done.rollbacks))
    screen = Screen()
    screen.say(f"{ref} {verb} {effect}")
    if revisions:
        screen.say(f"{can} revision {revisions}, which needs it")


def _print_collected(done: pb.CollectArtifactsResponse, screen: Screen) -> None:
    rows = [(f"{each.model}@{each.number}", "collected", "") for each in done.versions]
    rows += [(str(ref_from_wire(e.ref)), "kept", e.why) for e in done.kept]
    if rows:
        screen.table(("version", "artifact", "why"), rows)
    verb = "removed" if done.applied else "would remove"
    screen.say(
        f"{verb} {done.files} files of {done.size_bytes} bytes; {done.unnamed_files} of them had no "
        f"version; plan {done.plan}"
    )
    if done.has_more:
        screen.say("further versions are due: run it again")
