"""The freshness of served values: ages of records, and shares of statuses in the score log."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.features.builders import NOW_MS, NOW_S, a_record, a_view, floats
from tests.features.fakes import FakeFeatureStore
from understudy.domain.errors import InvalidInputError, NotFoundError
from understudy.domain.features import FeatureRef, FeatureStatus
from understudy.features.history.freshness import (
    FeatureShares,
    feature_shares,
    freshness_faults,
    view_freshness,
)
from understudy.features.history.freshness_metrics import write_metrics

USER = a_view("user", floats(2))
SHOP = a_view("shop", floats(1), entity="shop")
REFS = [FeatureRef("user", 1, "f0"), FeatureRef("shop", 1, "f0")]
Statuses = list[int | None] | None


def _log(folder: Path, statuses: Sequence[Statuses], **columns: pa.Array) -> str:
    """Write a log of two features, of which every row has values unless they are given."""
    path = folder / "log.parquet"
    values = pa.array([[1.0, 1.0]] * len(statuses), pa.list_(pa.float32()))
    given = {"features": values, "statuses": pa.array(statuses, pa.list_(pa.uint8())), **columns}
    pq.write_table(pa.table(given), path)
    return str(path)


async def test_freshness_is_the_age_of_the_newest_record() -> None:
    store = FakeFeatureStore()
    store.write(USER, [("a", a_record(USER, {}, event_time_ms=NOW_MS - 5000))], mark=None)

    user, shop = await view_freshness(store, [USER, SHOP], now_s=NOW_S, timeout_s=1.0)

    assert (user.view, user.newest_age_s) == ("user@1", 5.0)
    assert shop.newest_age_s is None


def test_shares_are_over_all_logged_rows(tmp_path: Path) -> None:
    stale, defaulted = int(FeatureStatus.STALE), int(FeatureStatus.DEFAULTED)
    log = _log(tmp_path, [[stale, 0], [stale, defaulted], None, []])

    first, second = feature_shares(log, REFS)

    assert [(each.view, each.name) for each in (first, second)] == [
        ("user@1", "f0"),
        ("shop@1", "f0"),
    ]
    assert (first.rows, first.stale, first.defaulted) == (4, 0.5, 0.0)
    assert (second.stale, second.defaulted, second.missing) == (0.0, 0.25, 0.0)
    with pytest.raises(InvalidInputError, match="statuses of 2 features"):
        feature_shares(log, REFS[:1])
    with pytest.raises(NotFoundError):
        feature_shares(str(tmp_path / "none"), REFS)


def test_a_status_that_is_not_known_is_unknown_in_its_row(tmp_path: Path) -> None:
    of_another_writer: list[Statuses] = [[0, 77], [0], [0, None]]

    first, second = feature_shares(_log(tmp_path, [[0, 3], *of_another_writer]), REFS)

    assert (first.unknown, second.unknown, second.defaulted) == (0.0, 0.75, 0.25)
    told = [_faults_of([first, second], max_unknown_share=each) for each in (0.0, 0.75)]
    assert told == [["unknown too often: f0"], []]


def _faults_of(shares: Sequence[FeatureShares], *, max_unknown_share: float) -> list[str]:
    return freshness_faults(
        [],
        shares,
        max_age_s=None,
        max_stale_share=1.0,
        max_unknown_share=max_unknown_share,
        future_tolerance_s=0.0,
    )


def test_the_ladders_own_answers_are_left_out_of_the_shares(tmp_path: Path) -> None:
    vectors = pa.array([[1.0, 1.0], None, None, None], pa.list_(pa.float32()))
    levels = pa.array([1, 1, 2, 3], pa.uint8())
    log = _log(tmp_path, [[0, 3], None, None, None], features=vectors, level=levels)

    shares = feature_shares(log, REFS)
    nothing = feature_shares(log, REFS, where="level = 3")

    assert [(each.rows, each.unknown) for each in shares] == [(2, 0.5)] * 2
    assert [(each.rows, each.unknown) for each in nothing] == [(0, 1.0)] * 2


def test_metrics_distinguish_features_of_the_same_name(tmp_path: Path) -> None:
    path = tmp_path / "features.prom"
    shares = [
        FeatureShares(
            view,
            "f0",
            rows=4,
            stale=stale,
            defaulted=0,
            last_known=0,
            missing=0,
            null=0,
            unread=0,
            unknown=0,
        )
        for view, stale in (("user@1", 0.5), ("shop@1", 0.25))
    ]

    write_metrics(path, [], shares)

    text = path.read_text()
    for view, stale in (("user@1", 0.5), ("shop@1", 0.25)):
        assert f'share{{feature="f0",status="stale",view="{view}"}} {stale}' in text
