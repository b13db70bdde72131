"""Rows and labels of a training: by name, with values that serving can have, or refused."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.domain.errors import InvalidInputError
from understudy.domain.features import Feature, FeatureDtype
from understudy.features.decisions.column_values import column_values
from understudy.train.decisions.kinds import ModelKind
from understudy.train.evaluation import Truth, measure_answers
from understudy.train.rows import read_rows
from understudy.train.training_data import Described, read_training_data

AMOUNTS = tuple(Feature(name, FeatureDtype.FLOAT32) for name in ("amount", "age"))
MISPLACED = {"age": [30.0], "amount": [1.5]}


@pytest.mark.parametrize(
    "x",
    [
        MISPLACED,
        pa.table(MISPLACED),
        pa.record_batch(MISPLACED),
        np.ma.masked_array([[1.0, 30.0]], mask=[[True, False]]),
    ],
    ids=lambda x: type(x).__name__,
)
def test_names_and_masks_that_numpy_would_drop_are_refused(x: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"accepted: a data frame of pandas, or an array"):
        read_rows(x, AMOUNTS, "training")


@pytest.mark.parametrize(
    ("dtype", "value", "accepted"),
    [
        (FeatureDtype.INT64, 1.5, "a whole number"),
        (FeatureDtype.INT64, 2**53 + 1, r"at most 2\^53 in size"),
        (FeatureDtype.BOOL, 2, "true, false, 1 or 0"),
        (FeatureDtype.FLOAT32, 1e39, "a finite float32 number"),
        (FeatureDtype.FLOAT64, np.inf, "a finite float64 number"),
        (FeatureDtype.FLOAT64, "1_000", "a finite float64 number"),
        (FeatureDtype.FLOAT64, np.datetime64("2026-01-01", "us"), "a finite float64 number"),
        (FeatureDtype.STRING, 1, "texts"),
        (FeatureDtype.STRING, b"a", "texts"),
        (FeatureDtype.STRING, {"a": 1}, "texts"),
        (FeatureDtype.STRING, 1j, "values of a string"),
    ],
)
def test_a_value_that_serving_cannot_have_is_refused(
    dtype: FeatureDtype, value: Any, accepted: str
) -> None:
    rows = np.array([[None], [value]], dtype=np.object_)

    with pytest.raises(InvalidInputError, match=f"training: n: .*accepted: .*{accepted}"):
        read_rows(rows, [Feature("n", dtype)], "training")


values = (
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats()
    | st.decimals(allow_nan=False, allow_infinity=False, places=2)
    | st.text(max_size=3)
    | st.sampled_from(["1e3", "0x1A", " 7 ", "inf", "nan", "12", Decimal("1.50")])
)


@given(values, st.sampled_from(FeatureDtype))
def test_a_value_is_read_as_loading_reads_it_or_refused(value: Any, dtype: FeatureDtype) -> None:
    feature = Feature("n", dtype)

    try:
        rows = read_rows(np.array([[value]], dtype=np.object_), [feature], "training")
    except InvalidInputError:
        return

    loaded = column_values(feature, pa.array([value], from_pandas=True))
    assert not loaded.unusable[0]
    (read,) = rows.columns[0]
    if dtype is FeatureDtype.STRING:
        assert read == loaded.values[0].decode()
    elif loaded.present[0]:
        assert read == loaded.values[0]
    else:
        assert np.isnan(read)


@pytest.mark.parametrize(
    "labels",
    [np.zeros((2, 1)), np.array(["2026-01-01", "2026-01-02"], "datetime64[D]"), 1.0],
    ids=["a column", "dates", "one number"],
)
def test_labels_that_are_no_class_and_no_number_of_a_row_are_refused(labels: Any) -> None:
    x = np.zeros((2, 2))
    at = datetime(2026, 1, 1, tzinfo=UTC)
    by = Described("memory:x", "paid", at, (at, at), None, "random", 1, None)

    with pytest.raises(InvalidInputError, match=r"evaluation labels: .*accepted: a class or"):
        read_training_data((x, [0, 1]), (x, labels), AMOUNTS, by)


@pytest.mark.parametrize(("lost", "read"), [(None, "1 missing"), (np.nan, "1 missing"), (1, "")])
def test_a_ranking_with_rows_of_no_query_is_refused(lost: Any, read: str) -> None:
    queries = np.array(["q1", "q1", lost, "q2"], dtype=np.object_)
    truth = Truth(np.array([0, 1, 0, 1]), (), queries, None, 10, 1, "sha256:00")

    with pytest.raises(
        InvalidInputError, match=f"queries: read .*{read}.*; accepted: the query of each"
    ):
        measure_answers(np.zeros(4), ModelKind.RANKING, truth)
