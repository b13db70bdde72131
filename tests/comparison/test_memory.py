"""The memory of a comparison, by the peak of a process of its own."""

from pathlib import Path

import pytest

from benchmarks.compare_pairs import compare_in_a_child, write_comparison_logs

PAIRS = 1_000_000
MOST_BYTES = 720 * 2**20  # 160 MiB of modules, 360 MiB of the engine, the columns, and room


@pytest.mark.long
def test_a_million_pairs_are_compared_within_the_limit_of_the_engine_and_their_columns(
    tmp_path: Path,
) -> None:
    write_comparison_logs(tmp_path, PAIRS)

    spent = compare_in_a_child(tmp_path)

    assert spent.pairs == PAIRS
    assert spent.peak_bytes < MOST_BYTES
