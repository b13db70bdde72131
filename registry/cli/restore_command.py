"""`understudy registry restore`: let the routers and hosts of a lost registry accept this one."""

from typing import Annotated

import typer

from registry.cli.await_effect import looking_at
from registry.cli.make_change import report_effect
from registry.cli.options import Actor, DryRun, OnBehalfOf, Reason, Registry, Wait
from registry.cli.output import print_restore
from registry.decisions.effect import AwaitedState
from understudy.control.client import DEFAULT_REGISTRY, RegistryClient
from understudy.control.wire_values import GREATEST_NUMBER
from understudy.registry.v1 import registry_pb2 as pb
from understudy.runtime.terminal.message_values import message_value
from understudy.runtime.terminal.output_option import Format, Output

app = typer.Typer()


@app.command()
def restore(
    *,
    successor_of: Annotated[
        str, typer.Option(help="lineage whose routers and hosts are to accept this registry")
    ],
    revisions_above: Annotated[
        int | None,
        typer.Option(
            min=0, max=GREATEST_NUMBER, help="number that revisions must exceed [those reported]"
        ),
    ] = None,
    ends: Annotated[
        list[str] | None, typer.Option(help="model of the predecessor that ends; repeatable")
    ] = None,
    reason: Reason,
    dry_run: DryRun = False,
    wait: Wait = True,
    registry: Registry = DEFAULT_REGISTRY,
    actor: Actor = None,
    on_behalf_of: OnBehalfOf = None,
    output: Output = Format.TABLE,
) -> None:
    """Make this registry the successor of a lost one, so that routers and hosts accept it."""
    request = pb.RestoreRegistryRequest(
        successor_of=successor_of,
        reason=reason,
        dry_run=dry_run,
        revisions_above=revisions_above,
        ends=ends or (),
    )
    with RegistryClient(registry, actor=actor, on_behalf_of=on_behalf_of) as client:
        done = client.restore(request)
        awaited = AwaitedState(
            f"the restore of {successor_of}", done.lineage, done.sequence, hosts_follow=True
        )
        report_effect(
            awaited if wait and done.applied else None,
            looking_at(client, None),
            output,
            print_table=lambda: print_restore(done, successor_of),
            content=message_value(done),
        )
