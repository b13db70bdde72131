"""The names that tags may have, and the conditions for setting one. Pure."""

import re
from collections.abc import Mapping

from understudy.domain.errors import InvalidInputError, NotFoundError, RefusedError
from understudy.domain.versions import VersionRef

MOST_TAGS = 100  # of one model
_NAME = re.compile(r"[a-z][a-z0-9._-]{0,62}")
# Parts change by revisions, and a tag does not act: it must not be read as one.
_OF_PARTS = frozenset(
    {"acting", "challenger", "champion", "fallback", "latest", "shadow", "standby"}
)


def checked_tag(name: str, field: str) -> str:
    """Return `name` if a tag may have it.

    Raises:
        InvalidInputError: it may not.
    """
    if not _NAME.fullmatch(name) or name in _OF_PARTS:
        accepted = (
            "1 to 63 lower-case letters, digits and . _ -, a letter first; none of "
            f"{', '.join(sorted(_OF_PARTS))}, which revisions declare"
        )
        raise InvalidInputError.of(field, read=name, accepted=accepted)
    return name


def check_may_tag(ref: VersionRef, name: str, present: Mapping[str, int], *, moves: bool) -> None:
    """Return if the version may get the tag.

    Args:
        ref: the version.
        name: of the tag.
        present: the tags of the model, each with the number of its version.
        moves: whether it may leave the version that has it.

    Raises:
        RefusedError: it has the tag already, another version has it, or there are too many.
    """
    at = present.get(name)
    if at == ref.number:
        raise RefusedError(f"{ref} has the tag {name} already")
    if at is not None and not moves:
        raise RefusedError(f"{ref.model}@{at} has the tag {name}; to move it, say so (--move)")
    if at is None and len(present) >= MOST_TAGS:
        raise RefusedError(f"{ref.model} has {MOST_TAGS} tags, the most that a model may have")


def check_may_untag(model: str, name: str, present: Mapping[str, int]) -> int:
    """Return the number of the version that has the tag.

    Raises:
        NotFoundError: none has it.
    """
    if name not in present:
        raise NotFoundError("tag", f"{name} of {model}")
    return present[name]
