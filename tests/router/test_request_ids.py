"""Ids that the router gives to requests without one: the client's form, many from one draw."""

from uuid import RFC_4122, UUID

from router.admission.request_ids import RequestIds


def test_ids_of_several_draws_are_uuids_of_version_7_and_differ() -> None:
    ids = RequestIds()

    made = [ids.new() for _ in range(1_000)]

    assert len({each[14:] for each in made}) == 1_000, "the random parts alone differ"
    assert {(UUID(each).version, UUID(each).variant) for each in made} == {(7, RFC_4122)}
    assert [each[:13] for each in made] == sorted(each[:13] for each in made)
