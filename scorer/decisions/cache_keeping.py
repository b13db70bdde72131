"""What a cache lets go: what nobody has named for long. Pure."""

from collections.abc import Collection, Mapping


def evictable(
    last_named_s: Mapping[str, float], named: Collection[str], *, now_s: float, keep_s: float
) -> tuple[str, ...]:
    """Return the entries to delete.

    Args:
        last_named_s: of each entry, when it was last among the named; UTC, seconds since 1970.
        named: entries that are needed now.
        now_s: on the same clock.
        keep_s: what is not named any more is kept so long: a rollback may name it again.
    """
    return tuple(
        sorted(
            entry
            for entry, at_s in last_named_s.items()
            if entry not in named and now_s - at_s >= keep_s
        )
    )
