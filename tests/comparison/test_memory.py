"""The memory of a comparison, by the peak of a process of its own."""

from pathlib import Path

import pytest

from benchmarks.compare_pairs import Compared, compare_in_a_child, write_comparison_logs

ROWS = 1_000_000
MOST_BYTES = 720 * 2**20  # 160 MiB of modules, 360 MiB of the engine, the columns, and room


@pytest.mark.long
@pytest.mark.timeout(1_200)  # a minute of CPU, and busy machines are slow
def test_a_million_rows_are_compared_within_the_limit_of_the_engine_and_their_columns(
    tmp_path: Path,
) -> None:
    write_comparison_logs(tmp_path, ROWS)

    spent = {kind: compare_in_a_child(tmp_path, kind) for kind in Compared}

    assert {kind: each.rows for kind, each in spent.items()} == dict.fromkeys(Compared, ROWS)
    assert {
        kind: each.peak_bytes for kind, each in spent.items() if each.peak_bytes > MOST_BYTES
    } == {}
