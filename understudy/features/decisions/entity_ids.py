"""Which texts can be entity ids in every store."""

from collections.abc import Sequence


def is_storable_id(entity_id: str) -> bool:
    """Tell whether a store can tell this id from all others.

    Aerospike's client is written in C: it reads a text up to the first NUL, so that an id with one
    is another name of its first part; a lone surrogate, which is no UTF-8, ends the process.
    """
    if "\0" in entity_id:
        return False
    try:
        entity_id.encode()
    except UnicodeEncodeError:
        return False
    return True


def storable_ids(entity_ids: Sequence[str | None]) -> Sequence[str | None]:
    """Return the ids with None in place of those that no store can hold."""
    text = "".join([each for each in entity_ids if each])
    if text.isascii() and "\0" not in text:  # nearly always, and one look at the whole batch
        return entity_ids
    return [each if each is None or is_storable_id(each) else None for each in entity_ids]
