"""The memory of a comparison, by the peak of a process of its own."""

from pathlib import Path

import pytest

from benchmarks.compare_pairs import Compared, compare_in_a_child, write_comparison_logs

ROWS = 10_000_000
MOST_BYTES = (
    1.1 * 2**30
)  # about a GiB: the columns of slices, and what an allocator holds, are above it


@pytest.mark.long
@pytest.mark.timeout(3_000)  # five minutes of CPU, and busy machines are slow
def test_ten_million_rows_are_compared_in_about_a_gibibyte(
    tmp_path: Path,
) -> None:
    write_comparison_logs(tmp_path, ROWS)

    spent = {kind: compare_in_a_child(tmp_path, kind) for kind in Compared}

    assert {kind: each.rows for kind, each in spent.items()} == dict.fromkeys(Compared, ROWS)
    assert {
        kind: each.peak_bytes for kind, each in spent.items() if each.peak_bytes > MOST_BYTES
    } == {}
