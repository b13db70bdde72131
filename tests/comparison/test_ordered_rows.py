"""Rows in the order of their units: read by ranges, as by one sort."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from understudy.comparison.decisions.sorted_ranges import SortedRange, sorted_ranges
from understudy.comparison.evidence.ordered_rows import BY_UNIT, IN_RANGE, ordered_batches
from understudy.logs.reader import LogReader
from understudy.runtime.in_memory_sql import open_in_memory

LAST = 2**128 - 1
DIGESTS = st.integers(0, LAST) | st.sampled_from([0, 1, LAST - 1, LAST])


@given(
    rows=st.integers(0, 50),
    heavy=st.dictionaries(DIGESTS, st.integers(4, 40), max_size=4),
    most_rows=st.integers(1, 9),
    keys=st.lists(st.tuples(DIGESTS, DIGESTS), max_size=20),
)
def test_each_row_is_in_one_range_and_ranges_are_in_the_order_of_rows(
    rows: int, heavy: dict[int, int], most_rows: int, keys: list[tuple[int, int]]
) -> None:
    ranges = list(sorted_ranges(rows + sum(heavy.values()), heavy, most_rows))

    keys += [(unit, id_) for unit in heavy for id_ in (0, LAST // 2, LAST)]
    places = [[n for n, part in enumerate(ranges) if is_in(key, part)] for key in sorted(keys)]
    assert all(len(place) == 1 for place in places)
    assert places == sorted(places)


def is_in(key: tuple[int, int], part: SortedRange) -> bool:
    unit, id_ = key
    return part.first_unit <= unit <= part.last_unit and part.first_id <= id_ <= part.last_id


def test_a_range_has_about_as_many_rows_as_are_asked_for() -> None:
    ranges = list(sorted_ranges(10_000, {7: 3_000}, 1_000))

    assert [each.first_unit for each in ranges if each.first_unit == each.last_unit] == [7] * 3
    others = [each for each in ranges if each.first_unit != each.last_unit]
    assert len(others) == 8  # seven parts, one of them on both sides of the heavy unit


def test_rows_that_are_read_by_ranges_have_the_order_of_one_sort() -> None:
    units = [f"unit-{number % 70}" for number in range(300)] + ["heavy"] * 500
    rows = pa.table(
        {
            "unit_key": units,
            "request_id": [f"request-{number // 3}" for number in range(800)],
            "candidate": [number % 3 for number in range(800)],
            "number": range(800),
        }
    )
    with open_in_memory() as connection:
        reader = LogReader(connection)
        reader.add("given", rows)
        reader.keep("kept", KEPT, {})
        in_one = reader.table(f"SELECT number FROM kept {BY_UNIT}")  # noqa: S608 - of this test
        query = f"SELECT number FROM kept WHERE {IN_RANGE} {BY_UNIT}"  # noqa: S608 - as above
        batches = list(ordered_batches(reader, query, "kept", 800, most_rows=60))

    assert len(batches) > 10
    assert pa.Table.from_batches(batches)["number"].to_pylist() == in_one["number"].to_pylist()


KEPT = """
    SELECT md5_number(unit_key) AS unit, md5_number(request_id) AS id, 1 AS use, candidate, number
    FROM given
"""
