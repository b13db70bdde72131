"""Batches: columns of equal length, and views on parts of them."""

import numpy as np
import pytest

from tests.logs.builders import float_features, outcome_batch, score_batch, shadow_batch
from understudy.logs.batches import LogBatch, rows_between


def test_a_column_of_another_length_is_refused_with_both_lengths() -> None:
    with pytest.raises(ValueError, match="scores: 2 rows, expected 3"):
        score_batch(3, scores=np.zeros(2))
    with pytest.raises(ValueError, match="shadow_scores: 1 rows, expected 3"):
        shadow_batch([0.1, 0.2, 0.3], [0.1])
    with pytest.raises(ValueError, match="labels: 1 rows, expected 3"):
        outcome_batch([1.0], request_ids=["a", "b", "c"])


def test_a_matrix_must_have_a_column_per_feature_name() -> None:
    with pytest.raises(ValueError, match="float_features: 5 values, expected 2"):
        float_features(np.zeros((3, 5)), ("a", "b")).values_of(0)
    with pytest.raises(ValueError, match="features: 4 rows, expected 3"):
        score_batch(3, features=float_features(np.zeros((4, 2))))
    with pytest.raises(ValueError, match=r"statuses: shape \(2, 2\), expected \(3, 2\)"):
        score_batch(3, width=2, statuses=np.zeros((2, 2), np.uint8))


def test_a_part_of_a_batch_has_those_rows_of_every_column_and_no_copies() -> None:
    whole = score_batch(
        5,
        width=3,
        candidate_ids=list("abcde"),
        statuses=np.arange(15, dtype=np.uint8).reshape(5, 3),
    )

    part = rows_between(whole, 1, 3)

    assert part.rows == 2
    assert part.request_ids == ["r1", "r2"]
    assert part.candidate_ids == ["b", "c"]
    assert part.scores.tolist() == whole.scores[1:3].tolist()
    assert part.features is not None
    assert whole.features is not None
    assert part.features.listed is whole.features.listed
    assert np.shares_memory(part.features.tensors[0], whole.features.tensors[0])
    assert part.statuses is not None
    assert part.statuses.tolist() == [[3, 4, 5], [6, 7, 8]]


def test_the_size_counts_matrices_and_grows_with_rows() -> None:
    narrow, wide = score_batch(10, width=0), score_batch(10, width=200)

    assert wide.size_bytes - narrow.size_bytes == 10 * (200 * 4 + 8)  # and a time
    ten_more = score_batch(10, width=0, first=10)
    both = score_batch(20, width=0)
    assert both.size_bytes == narrow.size_bytes + ten_more.size_bytes


LONG = 1 << 20


@pytest.mark.parametrize(
    "batch",
    [
        score_batch(1, request_ids=["r" * LONG]),
        score_batch(1, entity_ids=["u" * LONG]),
        score_batch(1, candidate_ids=["c" * LONG]),
        score_batch(1, entity_ids=["\U0001f600" * (LONG // 4)]),
        shadow_batch([0.1], request_ids=["r" * LONG]),
        shadow_batch([0.1], entity_ids=["u" * LONG]),
        shadow_batch([0.1], candidate_ids=["c" * LONG]),
        outcome_batch([1.0], request_ids=["r" * LONG]),
    ],
)
def test_the_size_counts_the_ids_of_callers(batch: LogBatch) -> None:
    assert LONG <= batch.size_bytes < LONG + 1024


def test_parts_of_a_batch_release_what_the_whole_reserved() -> None:
    whole = score_batch(7, request_ids=["x" * (100 * row) for row in range(7)])

    parts = [rows_between(whole, start, start + 3) for start in (0, 3, 6)]

    assert sum(part.size_bytes for part in parts) == whole.size_bytes
