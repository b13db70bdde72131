"""Large messages are divided into messages of the same kind that are parsed one by one."""

from hypothesis import given
from hypothesis import strategies as st

from tests.domain.test_wire_counts import BATCHES
from understudy.domain.wire_counts import UNREADABLE, TooMany, field_spans
from understudy.domain.wire_parts import CountedList, MessageParts, split_message
from understudy.scoring.v1 import scoring_pb2 as pb

CANDIDATES = pb.ScoreBatchRequest.DESCRIPTOR.fields_by_name["candidates"].number
MANY = 1_000


def split(
    received: bytes,
    *,
    part_bytes: int = 64,
    part_entries: int = MANY,
    most: int = MANY,
    most_others: int = MANY,
) -> object:
    field = CountedList("candidates", CANDIDATES, most)
    return split_message(
        received,
        field,
        most_others=most_others,
        part_bytes=part_bytes,
        part_entries=part_entries,
    )


@given(BATCHES, st.integers(1, 200), st.integers(1, 4))
def test_the_parts_and_the_rest_are_together_the_whole_message(
    message: pb.ScoreBatchRequest, part_bytes: int, part_entries: int
) -> None:
    found = split(message.SerializeToString(), part_bytes=part_bytes, part_entries=part_entries)

    assert isinstance(found, MessageParts)
    parts = [pb.ScoreBatchRequest.FromString(part) for part in found.parts]
    joined = pb.ScoreBatchRequest.FromString(found.rest)
    assert not joined.candidates
    for part in parts:
        joined.MergeFrom(part)
    assert joined == message
    assert found.entries == len(message.candidates)
    assert all(len(part.candidates) == 1 or part.ByteSize() <= part_bytes for part in parts)
    assert all(len(part.candidates) <= part_entries for part in parts)
    assert all(part.ListFields()[0][0].name == "candidates" for part in parts)


@given(BATCHES, BATCHES)
def test_entries_that_other_fields_interrupt_keep_their_order(
    first: pb.ScoreBatchRequest, second: pb.ScoreBatchRequest
) -> None:
    received = first.SerializeToString() + second.SerializeToString()

    found = split(received)

    assert isinstance(found, MessageParts)
    parts = [pb.ScoreBatchRequest.FromString(part) for part in found.parts]
    assert [each for part in parts for each in part.candidates] == [
        *first.candidates,
        *second.candidates,
    ]


def test_one_entry_too_many_is_refused_by_name_and_one_other_field_as_such() -> None:
    two = pb.ScoreBatchRequest(model="m", candidates=[pb.Candidate()] * 2).SerializeToString()

    assert isinstance(split(two, most=2, most_others=1), MessageParts)
    assert split(two, most=1, most_others=1) == TooMany("candidates", 1)
    assert split(two + two, most=4, most_others=1) == TooMany("", 1)


@given(BATCHES, st.integers(0, 6), st.integers(0, 8))
def test_entries_are_counted_before_their_places_are_kept(
    message: pb.ScoreBatchRequest, most: int, most_others: int
) -> None:
    received = message.SerializeToString()
    others = len(field_spans(received, most=MANY)) - len(message.candidates)

    found = split(received, most=most, most_others=most_others)

    if len(message.candidates) > most and others <= most_others:
        assert found == TooMany("candidates", most)
    assert isinstance(found, MessageParts) == (
        len(message.candidates) <= most and others <= most_others
    )


def test_counting_ends_at_the_bound() -> None:
    unreadable_end = b"\x3a\x00" * 3 + b"\x0f"

    assert split(unreadable_end, most=1, most_others=1) == TooMany("candidates", 1)
    assert split(unreadable_end) is UNREADABLE
