"""The place in the order of all versions at which the names with a prefix begin. Pure."""

from understudy.domain.versions import GREATEST_VERSION, VersionRef

_LONGEST_NAME = 63
_FIRST = "0123456789abcdefghijklmnopqrstuvwxyz"  # in the order of their codes, as in the database
_OTHERS = "-0123456789_abcdefghijklmnopqrstuvwxyz"


def before_prefix(prefix: str) -> VersionRef | None:
    """Return the greatest version that sorts before all models whose names begin with `prefix`.

    Returns:
        A version that need not exist; None if nothing sorts before them, or no name has the prefix.
    """
    if not can_begin_name(prefix):
        return None
    kept, last = prefix[:-1], prefix[-1]
    alphabet = _OTHERS if kept else _FIRST
    place = alphabet.index(last)
    if place:
        name = (kept + alphabet[place - 1]).ljust(_LONGEST_NAME, "z")
        return VersionRef(name, GREATEST_VERSION)
    return VersionRef(kept, GREATEST_VERSION) if kept else None


def can_begin_name(prefix: str) -> bool:
    """Return whether a model's name may begin with this text, which is not empty."""
    return (
        0 < len(prefix) <= _LONGEST_NAME
        and prefix[0] in _FIRST
        and all(each in _OTHERS for each in prefix)
    )
