"""Request ids, checked against RFC 9562 and Python's own parsing of UUIDs."""

from uuid import RFC_4122, UUID

from hypothesis import given
from hypothesis import strategies as st

from understudy.client.request_ids import new_request_id, uuid7


def test_the_example_of_the_standard_is_reproduced() -> None:
    """RFC 9562, appendix A.6: 22 February 2022, 14:22:22 in New York, and its random bits."""
    drawn = bytes.fromhex("0CC3" + "18C4DC0C0C07398F")

    assert uuid7(0x017F22E279B0, drawn) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


@given(st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=10))
def test_every_time_and_draw_give_a_uuid_of_version_7_that_keeps_them(
    utc_ms: int, drawn: bytes
) -> None:
    made = UUID(uuid7(utc_ms, drawn))

    assert (made.version, made.variant) == (7, RFC_4122)
    assert made.int >> 80 == utc_ms
    random_bits = int.from_bytes(drawn)
    assert made.int >> 64 & 0xFFF == random_bits >> 64 & 0xFFF, "rand_a"
    assert made.int & 2**62 - 1 == random_bits & 2**62 - 1, "rand_b"


@given(st.integers(0, 2**48 - 2), st.binary(min_size=10, max_size=10))
def test_ids_sort_by_time_whatever_the_random_bits(utc_ms: int, drawn: bytes) -> None:
    assert uuid7(utc_ms, b"\xff" * 10) < uuid7(utc_ms + 1, drawn)


def test_ids_made_one_after_the_other_differ_and_follow_the_clock() -> None:
    ids = [new_request_id() for _ in range(100)]

    assert len(set(ids)) == 100
    assert [each[:13] for each in ids] == sorted(each[:13] for each in ids)
