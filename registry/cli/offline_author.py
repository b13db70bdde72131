"""The author of an act on a registry that does not run: believed, as no registry proves the name."""

from typing import TYPE_CHECKING

from understudy.control.identity import default_actor

if TYPE_CHECKING:
    from registry.decisions.actors import Actor


def author_of(actor: str | None, on_behalf_of: str | None, reason: str) -> "tuple[Actor, str]":
    """Return the author, and the reason, as the audit log keeps them.

    Args:
        actor: value of `--actor`; None for the user of this machine.
        on_behalf_of: value of `--on-behalf-of`.
        reason: value of `--reason`.

    Raises:
        InvalidInputError: one of them cannot be recorded.
    """
    from registry.decisions.actors import Actor  # noqa: PLC0415 - other commands start faster
    from registry.server.callers import checked_name_of, checked_reason  # noqa: PLC0415 - as above

    name = checked_name_of(default_actor() if actor is None else actor, "--actor")
    other = "" if on_behalf_of is None else checked_name_of(on_behalf_of, "--on-behalf-of")
    return Actor(name, on_behalf_of=other), checked_reason(reason, "--reason")
