"""`understudy registry contract`: show the request contract, or change it on purpose."""

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from registry.cli.contract_output import print_contract, print_contract_change
from registry.cli.expected_revision import confirmed_revision
from registry.cli.make_change import report_change
from registry.cli.options import Actor, DryRun, Expect, Model, OnBehalfOf, Override, Registry, Wait
from registry.decisions.refused_requests import Counted
from understudy.control.client import DEFAULT_REGISTRY, RegistryClient
from understudy.control.contract_wire import contract_from_wire
from understudy.domain.changes import ChangeContract
from understudy.domain.errors import Fault, InvalidInputError, RefusedError
from understudy.domain.request_contract import ContractChange
from understudy.domain.versions import checked_model_name
from understudy.registry.v1 import registry_pb2 as pb
from understudy.runtime.terminal.output_option import Format, Output
from understudy.runtime.terminal.screen import Screen

app = typer.Typer()
Names = list[str]


@app.command()
def contract(
    model: Model,
    *,
    require: Annotated[Names, typer.Option(help="entity that requests must have")] = [],  # noqa: B006 - typer copies it
    release: Annotated[Names, typer.Option(help="entity that they need not have any more")] = [],  # noqa: B006 - as above
    accept_entity: Annotated[Names, typer.Option(help="entity that requests may have")] = [],  # noqa: B006 - as above
    refuse_entity: Annotated[Names, typer.Option(help="entity to refuse")] = [],  # noqa: B006 - as above
    accept_feature: Annotated[Names, typer.Option(help="feature that requests may have")] = [],  # noqa: B006 - as above
    refuse_feature: Annotated[Names, typer.Option(help="feature to refuse")] = [],  # noqa: B006 - as above
    unit_key: Annotated[
        str | None, typer.Option(help="entity whose id is the unit key; units change their arms")
    ] = None,
    logs: Annotated[
        Path | None, typer.Option(help="log directory: counts the logged requests to be refused")
    ] = None,
    refuse_callers: Annotated[
        bool, typer.Option("--refuse-callers", help="change it even if logged requests are refused")
    ] = False,
    reason: Annotated[str | None, typer.Option(help="why; goes to the audit log")] = None,
    dry_run: DryRun = False,
    expect_revision: Expect = None,
    override: Override = None,
    wait: Wait = True,
    registry: Registry = DEFAULT_REGISTRY,
    actor: Actor = None,
    on_behalf_of: OnBehalfOf = None,
    output: Output = Format.TABLE,
) -> None:
    """Show the entities and features that requests must and may have, or change them on purpose."""
    change = ContractChange(
        require_entities=tuple(require),
        release_entities=tuple(release),
        accept_entities=tuple(accept_entity),
        refuse_entities=tuple(refuse_entity),
        accept_features=tuple(accept_feature),
        refuse_features=tuple(refuse_feature),
        unit_entity=unit_key,
    )
    name = checked_model_name(model)
    with RegistryClient(registry, actor=actor, on_behalf_of=on_behalf_of) as client:
        if change == ContractChange():
            print_contract(client.get_deployment(name), output)
            return
        if reason is None:
            raise InvalidInputError([Fault("--reason", "nothing", "why; goes to the audit log")])
        response = client.change(
            name,
            ChangeContract(change),
            reason=reason,
            dry_run=True,
            expect_revision=expect_revision,
            override_reason=override,
        )
        counted = None if logs is None else _count(logs, name, response)
        if not dry_run:
            _check(counted, refuse_callers=refuse_callers)
            planned, expected = response, expect_revision
            if expected is None:
                show = partial(print_contract_change, counted=counted)
                expected = confirmed_revision(lambda: planned, show)
            response = client.change(
                name,
                ChangeContract(change),
                reason=reason,
                expect_revision=expected,
                override_reason=override,
            )
        report_change(
            client,
            response,
            output,
            wait=wait,
            print_table=lambda: print_contract_change(response, Screen(), counted),
            more={"logged_requests": None if counted is None else asdict(counted)},
        )


def _count(logs: Path, model: str, response: pb.ChangeDeploymentResponse) -> Counted:
    from registry.sent_requests import count_refused  # noqa: PLC0415 - other commands start faster

    before, after = response.before.contract, response.after.contract
    return count_refused(logs, model, contract_from_wire(before), contract_from_wire(after))


def _check(counted: Counted | None, *, refuse_callers: bool) -> None:
    """Refuse a change that the log speaks against, unless that is the purpose."""
    if counted is not None and counted.refused and not refuse_callers:
        raise RefusedError(f"{counted}; repeat with --refuse-callers if that is the purpose")
