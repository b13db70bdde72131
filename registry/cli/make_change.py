"""The way in which all commands make a change of a deployment, and report its effect."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from registry.cli.await_effect import (
    Effect,
    Look,
    await_effect,
    awaited_change,
    looking_at,
)
from registry.cli.expected_revision import confirmed_revision
from registry.cli.named_version import NamedVersion, resolved_tags
from registry.cli.output import print_change
from registry.decisions.effect import Awaited
from understudy.control.client import RegistryClient
from understudy.domain.changes import Change, Rollback
from understudy.domain.errors import ConflictError
from understudy.registry.v1 import registry_pb2 as pb
from understudy.runtime.terminal.json_output import print_json
from understudy.runtime.terminal.message_values import message_value
from understudy.runtime.terminal.output_option import Format
from understudy.runtime.terminal.screen import Screen

Show = Callable[[pb.ChangeDeploymentResponse, Screen], None]


@dataclass(frozen=True, slots=True)
class ChangeOptions:
    """The options common to these commands."""

    reason: str
    dry_run: bool
    expect_revision: int | None
    wait: bool
    registry: str
    actor: str | None
    output: Format
    override: str | None = None  # reason to break limits of the registry
    on_behalf_of: str | None = None  # person for whom the actor, an automation, acts


def make_change(
    model: str,
    change: Change,
    how: ChangeOptions,
    *,
    named: NamedVersion | None = None,
    show: Show | None = None,
    made_from: int | None = None,
) -> None:
    """Make the change, or plan it, and print its effect.

    Args:
        model: the model's name.
        change: the requested change.
        how: the options of the command.
        named: the version that the command names; None if it names none.
        show: prints the change for people; None for the table of its parts.
        made_from: revision from which the change was derived; None if it fits to any.

    Raises:
        LaggingError: it was made, but is not in effect after 60 seconds.
        ConflictError: another change came first.
        UnderstudyError: see `RegistryClient.change`.
    """
    show = show or partial(print_change, is_rollback=isinstance(change, Rollback))
    with RegistryClient(how.registry, actor=how.actor, on_behalf_of=how.on_behalf_of) as client:
        ask = partial(client.change, model, change, reason=how.reason, override_reason=how.override)
        expected = how.expect_revision
        if expected is None and not how.dry_run:
            expected = confirmed_revision(
                lambda: ask(dry_run=True, expect_revision=None),
                show,
            )
        if made_from is not None and expected not in {None, made_from}:
            raise ConflictError(f"{model} is at revision {expected}, no longer {made_from}")
        response = ask(dry_run=how.dry_run, expect_revision=expected)
        report_change(
            client,
            response,
            how.output,
            wait=how.wait,
            print_table=lambda: show(response, Screen()),
            more={} if named is None else resolved_tags(named),
        )


def report_change(
    client: RegistryClient,
    response: pb.ChangeDeploymentResponse,
    output: Format,
    *,
    wait: bool,
    print_table: Callable[[], None],
    more: Mapping[str, object] | None = None,
) -> None:
    """Print a change at once, and its effect after the wait; JSON is printed once, at the end.

    Args:
        client: of the registry that answered.
        response: its answer.
        output: table or JSON.
        wait: whether to wait for the effect; a dry run has none.
        print_table: prints the change for people.
        more: further content of the JSON document.

    Raises:
        LaggingError: the change was made, but is not in effect after 60 seconds.
    """
    awaited = awaited_change(response)
    report_effect(
        awaited if wait and response.applied else None,
        looking_at(client, awaited.model),
        output,
        print_table=print_table,
        content={**message_value(response), **(more or {})},
    )


def report_effect(
    awaited: Awaited | None,
    look: Look,
    output: Format,
    *,
    print_table: Callable[[], None],
    content: Mapping[str, object],
) -> None:
    """Print an act at once, and its effect after the wait; JSON is printed once, at the end.

    Args:
        awaited: the effect; None if it is not waited for.
        look: returns the latest reports.
        output: table or JSON.
        print_table: prints the act for people.
        content: of the JSON document, which gets `effect`.

    Raises:
        LaggingError: the act is done, but is not in effect after 60 seconds.
    """
    if output is Format.TABLE:
        print_table()
    effect = None
    try:
        if awaited is not None:
            effect = await_effect(awaited, look, Screen(stderr=True))
    finally:  # also if the wait is interrupted: the change was made
        if output is Format.JSON:
            print_json({**content, "effect": effect})
    if awaited is None or effect is None:
        return
    if output is Format.TABLE and not effect.lagging:
        Screen().say(_shown_effect(effect))
    effect.check(awaited)


def _shown_effect(effect: Effect) -> str:
    silent = f"; silent, not waited for: {', '.join(effect.silent)}" if effect.silent else ""
    if not effect.routers:
        return f"declared; no router reports, so no call is answered by it{silent}"
    routers = "1 router" if effect.routers == 1 else f"{effect.routers} routers"
    return f"in effect in {routers} after {effect.waited_s:.1f} s{silent}"
