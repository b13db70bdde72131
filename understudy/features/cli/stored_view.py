"""The stored view that a command is about."""

from collections.abc import Sequence

from understudy.domain.errors import InvalidInputError
from understudy.domain.features import FeatureView, ViewKind
from understudy.features.views import find_view


def stored_view(known: Sequence[FeatureView], asked: str | None) -> FeatureView:
    """Return the view that is asked for, or the only stored one.

    Raises:
        InvalidInputError: the view is not stored; or none is asked for, and there is not just one.
        NotFoundError: no view has this name.
    """
    if asked:
        chosen = find_view(known, asked)
        if chosen.kind is not ViewKind.STORED:
            raise InvalidInputError.of("--view", read=chosen, accepted="a stored view")
        return chosen
    stored = [view for view in known if view.kind is ViewKind.STORED]
    if len(stored) != 1:
        accepted = f"one of {', '.join(map(str, stored))}"
        raise InvalidInputError.of("--view", read="nothing", accepted=accepted)
    return stored[0]
