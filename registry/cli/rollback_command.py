"""The way back: `registry rollback`, and the revisions that it can return to."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from registry.cli.make_change import ChangeOptions, make_change
from registry.cli.options import Actor, DryRun, Expect, Model, OnBehalfOf, Registry, Wait
from registry.cli.output import deployment_parts, shown_time
from understudy.control.client import DEFAULT_REGISTRY, RegistryClient
from understudy.control.wire_values import GREATEST_NUMBER
from understudy.domain.changes import Rollback
from understudy.domain.errors import Fault, InvalidInputError
from understudy.domain.versions import checked_model_name
from understudy.registry.v1 import registry_pb2 as pb
from understudy.runtime.terminal.json_output import print_json
from understudy.runtime.terminal.message_values import message_value
from understudy.runtime.terminal.output_option import Format, Output
from understudy.runtime.terminal.screen import Screen

app = typer.Typer()


@app.command()
def rollback(
    model: Model,
    *,
    to_revision: Annotated[
        int | None,
        typer.Option(
            min=1, max=GREATEST_NUMBER, help="revision to return to [before the last change]"
        ),
    ] = None,
    champion: Annotated[
        bool,
        typer.Option("--champion", help="take back the last change of champion, and nothing else"),
    ] = False,
    list_targets: Annotated[
        bool, typer.Option("--list", help="list the revisions to return to, and change nothing")
    ] = False,
    reason: Annotated[
        str | None, typer.Option("--reason", help="why; goes to the audit log [required]")
    ] = None,
    dry_run: DryRun = False,
    expect_revision: Expect = None,
    wait: Wait = True,
    registry: Registry = DEFAULT_REGISTRY,
    actor: Actor = None,
    on_behalf_of: OnBehalfOf = None,
    output: Output = Format.TABLE,
) -> None:
    """Undo the last change of any kind, or return to a revision, by a new one equal to it."""
    name = checked_model_name(model)
    if list_targets:
        given = {
            "--to-revision": to_revision,
            "--expect-revision": expect_revision,
            "--champion": champion or None,
        }
        faults = [
            Fault(option, str(value), "no value with --list, which changes nothing")
            for option, value in given.items()
            if value is not None
        ]
        if faults:
            raise InvalidInputError(faults)
        with RegistryClient(registry) as client:
            _print_targets(client.list_rollback_targets(name), output)
        return
    if reason is None:
        raise InvalidInputError.of("--reason", read=None, accepted="the reason of the rollback")
    how = ChangeOptions(
        reason, dry_run, expect_revision, wait, registry, actor, output, on_behalf_of=on_behalf_of
    )
    make_change(name, Rollback(to_revision, champion), how)


def _print_targets(response: pb.ListRollbackTargetsResponse, output: Format) -> None:
    if output is Format.JSON:
        print_json([message_value(each) for each in response.targets])
        return
    now = datetime.now(UTC)
    Screen().table(
        ("revision", "age", "champion", "challengers", "shadows", "by", "reason", "ready"),
        [
            (
                f"{each.revision.deployment.revision}{' (default)' if each.is_default else ''}",
                _shown_age(now - shown_time(each.revision.at)),
                *[value for _, value in deployment_parts(each.revision.deployment)[:3]],
                each.revision.actor,
                each.revision.reason,
                "\n".join(f"NO: {fault}" for fault in each.faults) or "yes",
            )
            for each in response.targets
        ],
    )


def _shown_age(age: timedelta) -> str:
    seconds = max(0, round(age.total_seconds()))
    for unit, unit_s in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= unit_s:
            return f"{seconds // unit_s} {unit}"
    return f"{seconds} s"
