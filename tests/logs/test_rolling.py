"""Rules for finishing files and for cutting batches into slices."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.logs.builders import score_batch
from understudy.logs.columns import FileKeys
from understudy.logs.decisions.rolling import RollPolicy, Unfinished, due_files
from understudy.logs.numbered import Numbered
from understudy.logs.slices import cut

POLICY = RollPolicy(rows=100, size_bytes=1000, age_s=60, open_files=3)


@pytest.mark.parametrize(
    ("rows", "size_bytes", "opened_at_s", "is_due"),
    [
        (99, 999, 40.1, False),
        (100, 1, 100.0, True),
        (1, 1000, 100.0, True),
        (1, 1, 40.0, True),
    ],
)
def test_a_file_is_due_by_rows_bytes_or_age(
    rows: int, size_bytes: int, opened_at_s: float, *, is_due: bool
) -> None:
    file = Unfinished("a", rows, size_bytes, opened_at_s)

    assert due_files([file], POLICY, now_s=100.0) == (["a"] if is_due else [])


def test_the_oldest_files_beyond_the_bound_are_due() -> None:
    files = [
        Unfinished(name, 1, 1, at_s) for name, at_s in zip("abcde", (5, 1, 4, 2, 3), strict=True)
    ]

    assert due_files(files, POLICY, now_s=5.0) == ["b", "d"]


@pytest.mark.parametrize("name", ["rows", "size_bytes", "age_s", "open_files", "open_at_once"])
def test_a_limit_of_nothing_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="above 0"):
        RollPolicy(**{name: 0})


@given(
    sizes=st.lists(st.tuples(st.integers(1, 2), st.integers(0, 25)), max_size=30),
    limit=st.integers(1, 10),
)
def test_short_slices_keep_every_row_in_its_file_and_order(
    sizes: list[tuple[int, int]], limit: int
) -> None:
    keys = FileKeys()
    batches, first = [], 0
    for version, rows in sizes:
        batches.append(score_batch(rows, first=first, version=version))
        first += rows
    numbered = [
        (keys.key_of(batch), Numbered(batch, int(batch.request_ids[0][1:])))
        for batch in batches
        if batch.rows
    ]

    slices = list(cut(numbered, rows=limit))

    for version in (1, 2):
        offered = [i for b in batches if b.version == version for i in b.request_ids]
        assert offered == [
            request_id
            for piece in slices
            if piece.key.version == version
            for each in piece.batches
            for request_id in each.batch.request_ids
        ]
    for batch, number in (each for piece in slices for each in piece.batches):
        assert batch.request_ids[0] == f"r{number}"
    assert all(0 < piece.rows < 2 * limit for piece in slices)
    assert sum(piece.size_bytes for piece in slices) == sum(batch.size_bytes for batch in batches)
