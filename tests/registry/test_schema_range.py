"""The schemas that a build serves from, upgrades, and refuses."""

import pytest

from registry.decisions.schema_range import COMMAND, SchemaRange

KNOWN = SchemaRange(earliest=6, latest=8)
CANNOT = "the database has schema 5, of an earlier build; this registry reads schema 8, and upgrades from schema 6 on"
NEWER = "the database has schema 9, of a newer registry; this registry reads schema 8"


@pytest.mark.parametrize(
    ("found", "to_serve", "to_upgrade"),
    [
        (5, CANNOT, CANNOT),
        (6, COMMAND, None),
        (7, COMMAND, None),
        (8, None, None),
        (9, NEWER, NEWER),
    ],
)
def test_one_schema_is_served_from_and_earlier_ones_are_upgraded(
    found: int, to_serve: str | None, to_upgrade: str | None
) -> None:
    served = KNOWN.refusal_to_serve(found)

    assert to_serve == served or (to_serve == COMMAND and COMMAND in str(served))
    assert KNOWN.refusal_to_upgrade(found) == to_upgrade
