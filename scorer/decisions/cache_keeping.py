"""The rule for deleting cache entries that have not been named for a long time. Pure."""

from collections.abc import Collection, Mapping


def evictable(
    last_named_s: Mapping[str, float], named: Collection[str], *, now_s: float, keep_s: float
) -> tuple[str, ...]:
    """Return the entries to delete.

    Args:
        last_named_s: when each entry was last named; UTC, seconds since 1970.
        named: entries that are needed now.
        now_s: on the same clock.
        keep_s: how long to keep an entry that is no longer named: a rollback may name it again.
    """
    return tuple(
        sorted(
            entry
            for entry, at_s in last_named_s.items()
            if entry not in named and now_s - at_s >= keep_s
        )
    )
