"""The entity ids that every store can hold."""

from collections.abc import Sequence


def is_storable_id(entity_id: str) -> bool:
    """Return whether every store keeps this id distinct from all others.

    Aerospike's client is written in C: it reads a string up to the first NUL, so an id with a NUL
    is equal to its part before the NUL; a lone surrogate, which is not valid UTF-8, crashes it.
    """
    if "\0" in entity_id:
        return False
    try:
        entity_id.encode()
    except UnicodeEncodeError:
        return False
    return True


def storable_ids(entity_ids: Sequence[str | None]) -> Sequence[str | None]:
    """Return the ids, with None in place of an id that some store cannot hold."""
    text = "".join([each for each in entity_ids if each])
    if text.isascii() and "\0" not in text:  # nearly always true, and one check for the whole batch
        return entity_ids
    return [each if each is None or is_storable_id(each) else None for each in entity_ids]
