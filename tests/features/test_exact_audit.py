"""An audit compares values in the type in which they were served, and in no narrower one."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.features.builders import NOW_S, a_view
from tests.logs.builders import float_features, score_batch
from understudy.domain.features import Feature, FeatureDtype, FeatureRef, FeatureStatus
from understudy.domain.logged_features import FeatureList, ListedFeatures, LoggedFeatures, Part
from understudy.domain.logged_ids import IdForm, LoggedIds
from understudy.features.decisions.parity import parity_of
from understudy.features.history.audit import audit_features
from understudy.features.history.served_columns import ScoreLog
from understudy.features.loading.history_files import HistorySource
from understudy.logs.batches import ScoreBatchLog
from understudy.logs.writer import LogWriter

VIEW = a_view(
    "user",
    (
        Feature("f", FeatureDtype.FLOAT32),
        Feature("d", FeatureDtype.FLOAT64),
        Feature("n", FeatureDtype.INT64, default=0),
    ),
)
REFS = [FeatureRef("user", 1, name) for name in ("f", "d", "n")]
PLAIN = LoggedIds(IdForm.PLAIN)
D, N = 0.1, 2**53 + 1
INT64 = st.integers(-(2**63), 2**63 - 1)


@pytest.mark.parametrize(
    ("double", "integer", "mismatches"),
    [(D, N, [0, 0, 0]), (D + 1e-9, N, [0, 1, 0]), (D, N - 1, [0, 0, 1]), (D, N + 1, [0, 0, 1])],
)
def test_neighbouring_doubles_and_integers_are_told_apart(
    tmp_path: Path, double: float, integer: int, mismatches: list[int]
) -> None:
    history = tmp_path / "user.parquet"
    moment = datetime.fromtimestamp(NOW_S, tz=UTC).replace(tzinfo=None)
    of_a = {"user": ["a"], "event_time": [moment], "f": [0.1], "d": [D]}
    pq.write_table(pa.table({**of_a, "n": pa.array([N], pa.int64())}), history)
    with LogWriter(tmp_path / "logs", ids=PLAIN) as writer:
        assert writer.offer(served(double, integer))

    report = audit_features(
        ScoreLog(str(tmp_path / "logs" / "score" / "*" / "*" / "*.parquet")),
        REFS,
        [VIEW],
        {"user@1": HistorySource(str(history), "user")},
        entity="user",
        keys=PLAIN,
    )

    assert [each.compared for each in report.features] == [1, 1, 1]
    assert [each.mismatches for each in report.features] == mismatches


@given(INT64, INT64)
def test_only_equal_integers_are_equal(served: int, expected: int) -> None:
    def column(value: int) -> npt.NDArray[np.int64]:
        return np.array([value], dtype=np.int64)

    found = parity_of(
        "n",
        column(served),
        np.array([FeatureStatus.PRESENT], dtype=np.uint8),
        expected=column(expected),
        known=column(expected),
        keys=["a"],
        tolerance=0.0,
        worst=1,
    )

    assert found.mismatches == (served != expected)
    assert found.largest_difference == pytest.approx(abs(served - expected))
    assert [(each.served, each.expected) for each in found.worst] == (
        [(served, expected)] if served != expected else []
    )


def served(double: float, integer: int) -> ScoreBatchLog:
    names = tuple(str(ref) for ref in REFS)
    lists = (
        (FeatureList.FLOATS, names[:1]),
        (FeatureList.DOUBLES, names[1:2]),
        (FeatureList.INT64S, names[2:]),
    )
    parts = tuple((Part(place),) for place in range(3))
    of_one = float_features(np.zeros((1, 1)))
    features = LoggedFeatures(
        ListedFeatures(names, lists, parts, ("user@1",)),
        (
            np.array([[0.1]], dtype=np.float32),
            np.array([[double]]),
            np.array([[integer]], dtype=np.int64),
        ),
        of_one.event_times_ms,
        of_one.read_at_ms,
    )
    batch = score_batch(1)
    return replace(
        batch,
        at_us=round((NOW_S + 5) * 1e6),
        entity_ids=["a"],
        features=features,
        statuses=None,
    )
