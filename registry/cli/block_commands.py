"""Commands that take something out by hand: a version, or a host that is gone."""

from typing import Annotated

import typer

from registry.cli.await_effect import looking_at
from registry.cli.make_change import report_effect
from registry.cli.named_version import NamedVersion, named_version, resolved_tags
from registry.cli.options import (
    Actor,
    DryRun,
    ModelOrVersion,
    Number,
    OnBehalfOf,
    Reason,
    Registry,
    Wait,
)
from registry.decisions.effect import AwaitedChange, AwaitedState
from understudy.control.client import DEFAULT_REGISTRY, RegistryClient
from understudy.control.wire import deployment_from_wire
from understudy.control.wire_values import ref_from_wire, ref_to_wire
from understudy.domain.deployments import versions_to_run
from understudy.domain.versions import VersionRef
from understudy.registry.v1 import registry_pb2 as pb
from understudy.runtime.command_line import CommandGroup
from understudy.runtime.terminal.message_values import message_value
from understudy.runtime.terminal.output_option import Format, Output
from understudy.runtime.terminal.screen import Screen

app = typer.Typer(cls=CommandGroup, add_completion=False)


@app.command()
def block(
    model: ModelOrVersion,
    version: Number = None,
    *,
    reason: Reason,
    allow_errors: Annotated[
        bool, typer.Option("--allow-errors", help="even if nothing is left to answer calls")
    ] = False,
    dry_run: DryRun = False,
    wait: Wait = True,
    registry: Registry = DEFAULT_REGISTRY,
    actor: Actor = None,
    on_behalf_of: OnBehalfOf = None,
    output: Output = Format.TABLE,
) -> None:
    """Keep a version from taking any part, declared or left over, until it is unblocked."""
    named = named_version(model, version, registry, output)
    request = _request(named.ref, reason, dry_run=dry_run)
    request.blocked, request.allow_errors = True, allow_errors
    with RegistryClient(registry, actor=actor, on_behalf_of=on_behalf_of) as client:
        _report(client, named, client.set_block(request), output, is_block=True, wait=wait)


@app.command()
def unblock(
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
    """Lift the block of a version; it takes the part again that revisions declare."""
    named = named_version(model, version, registry, output)
    with RegistryClient(registry, actor=actor, on_behalf_of=on_behalf_of) as client:
        done = client.set_block(_request(named.ref, reason, dry_run=dry_run))
        _report(client, named, done, output, is_block=False, wait=wait)


@app.command("forget-host")
def forget_host(
    host_id: Annotated[str, typer.Argument(help="name of a silent host, as in the status")],
    *,
    reason: Reason,
    dry_run: DryRun = False,
    wait: Wait = True,
    registry: Registry = DEFAULT_REGISTRY,
    actor: Actor = None,
    on_behalf_of: OnBehalfOf = None,
    output: Output = Format.TABLE,
) -> None:
    """Say that a silent scorer host is gone, so that routers stop asking its scorers."""
    request = pb.ForgetHostRequest(host_id=host_id, reason=reason, dry_run=dry_run)
    with RegistryClient(registry, actor=actor, on_behalf_of=on_behalf_of) as client:
        done = client.forget_host(request)
        awaited = AwaitedState(f"the end of host {host_id}", done.lineage, done.sequence)
        report_effect(
            awaited if wait and done.applied else None,
            looking_at(client, None),
            output,
            print_table=lambda: _print_forgotten(host_id, done),
            content=message_value(done),
        )


def _print_forgotten(host_id: str, done: pb.ForgetHostResponse) -> None:
    verb = "is" if done.applied else "would be"
    gone = [f"{ref_from_wire(each.ref)} at {each.address}" for each in done.scorers]
    Screen().say(f"{host_id} {verb} forgotten; its scorers: {', '.join(gone) or 'none'}")


def _request(ref: VersionRef, reason: str, *, dry_run: bool) -> pb.SetBlockRequest:
    return pb.SetBlockRequest(ref=ref_to_wire(ref), reason=reason, dry_run=dry_run)


def _report(
    client: RegistryClient,
    named: NamedVersion,
    done: pb.SetBlockResponse,
    output: Format,
    *,
    is_block: bool,
    wait: bool,
) -> None:
    ref = named.ref
    report_effect(
        _awaited(ref, done, is_block=is_block) if wait and done.applied else None,
        looking_at(client, ref.model),
        output,
        print_table=lambda: _print(ref, done, is_block=is_block),
        content={**message_value(done), **resolved_tags(named)},
    )


def _awaited(ref: VersionRef, done: pb.SetBlockResponse, *, is_block: bool) -> AwaitedState:
    """Return the state to wait for: without scorers of a blocked version, with those of a released one."""
    if is_block:
        return AwaitedState(f"the block of {ref}", done.lineage, done.sequence, ended=ref)
    begun = None
    if done.HasField("deployment"):
        deployment = deployment_from_wire(done.deployment)
        needed = {ref.number} & {*versions_to_run(deployment)}
        begun = AwaitedChange(ref.model, deployment.revision, frozenset(needed))
    return AwaitedState(f"the release of {ref}", done.lineage, done.sequence, begun=begun)


def _print(ref: VersionRef, done: pb.SetBlockResponse, *, is_block: bool) -> None:
    verb = "is" if done.applied else "would be"
    effect = "blocked" if is_block else "no longer blocked"
    parts = _parts(ref, done.deployment) if done.HasField("deployment") else ["not deployed"]
    Screen().say(f"{ref} {verb} {effect}; declared as: {', '.join(parts) or 'nothing'}")


def _parts(ref: VersionRef, deployment: pb.Deployment) -> list[str]:
    """Return the parts that the current revision declares for the version."""
    number = ref.number
    declared = {
        "champion": deployment.champion == number,
        "challenger": any(each.version == number for each in deployment.challengers),
        "shadow": any(each.version == number for each in deployment.shadows),
        "fallback": deployment.fallback.HasField("version")
        and deployment.fallback.version == number,
        "standby": number in deployment.standby,
    }
    return [part for part, is_declared in declared.items() if is_declared]
