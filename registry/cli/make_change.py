"""The way in which all commands make a change of a deployment."""

from dataclasses import dataclass

from registry.cli.output import print_change
from understudy.control.client import RegistryClient
from understudy.domain.changes import Change, Rollback
from understudy.runtime.terminal.output_option import Format


@dataclass(frozen=True, slots=True)
class ChangeOptions:
    """The options common to these commands."""

    reason: str
    dry_run: bool
    expect_revision: int | None
    registry: str
    actor: str | None
    output: Format


def make_change(model: str, change: Change, how: ChangeOptions) -> None:
    """Make the change, or plan it, and print its effect."""
    with RegistryClient(how.registry, actor=how.actor) as client:
        response = client.change(
            model,
            change,
            reason=how.reason,
            dry_run=how.dry_run,
            expect_revision=how.expect_revision,
        )
    print_change(response, how.output, is_rollback=isinstance(change, Rollback))
