"""Online reads in batches, and their agreement with the history."""

from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.features.builders import MIXED, NOW_S, a_record, a_view
from tests.features.fakes import FakeFeatureStore
from understudy.domain.errors import InvalidInputError, UnavailableError
from understudy.domain.features import (
    Feature,
    FeatureDtype,
    FeatureRef,
    FeatureStatus,
    FeatureView,
    ViewKind,
)
from understudy.features.history.history import get_historical_features
from understudy.features.loading.history_files import HistorySource
from understudy.features.loading.write_through import WriteThrough
from understudy.features.serving.online import OnlineFeatures

USER = a_view("user", MIXED)
SHOP = a_view("shop", (Feature("rank", FeatureDtype.INT64, default=9),), entity="shop")
ASK = FeatureView(
    "ask", 1, "request", (Feature("km", FeatureDtype.FLOAT64),), kind=ViewKind.REQUEST
)
REFS = [FeatureRef.parse(text) for text in ("user@1:amount", "shop@1:rank", "ask@1:km")]


@pytest.fixture
def store() -> FakeFeatureStore:
    store = FakeFeatureStore()
    store.write(USER, [("u", a_record(USER))], mark=None)
    store.write(SHOP, [("s", a_record(SHOP, {"rank": 3}))], mark=None)
    return store


async def test_views_of_several_entities_are_read_together(store: FakeFeatureStore) -> None:
    features = OnlineFeatures(store, REFS, [USER, SHOP, ASK])
    assert features.entities == ("user", "shop")

    found = await features.get(
        {"user": ["u", "x", None], "shop": ["s", "s", "t"]},
        request_features=[{"km": 2.5}, None, {"rank": 1}],
        now_s=NOW_S,
        timeout_s=1.0,
    )

    assert store.reads == 1
    assert found.names == ("amount", "rank", "km")
    assert [column.tolist()[:2] for column in found.columns[:2]] == [[1.5, 0.5], [3, 3]]
    present, given = FeatureStatus.PRESENT, FeatureStatus.FROM_REQUEST
    defaulted, missing = FeatureStatus.DEFAULTED, FeatureStatus.MISSING
    assert found.statuses.tolist() == [
        [present, present, given],
        [defaulted, present, missing],
        [defaulted, given, missing],
    ]


async def test_input_that_does_not_fit_is_refused(store: FakeFeatureStore) -> None:
    features = OnlineFeatures(store, REFS, [USER, SHOP, ASK])

    with pytest.raises(InvalidInputError, match="also shop"):
        await features.get({"user": ["u"]}, now_s=NOW_S, timeout_s=1.0)
    with pytest.raises(InvalidInputError, match="the same number of rows"):
        await features.get({"user": ["u"], "shop": ["s", "s"]}, now_s=NOW_S, timeout_s=1.0)
    with pytest.raises(InvalidInputError, match=r"features\.km"):
        await features.get(
            {"user": ["u"], "shop": ["s"]},
            request_features=[{"km": "far"}],
            now_s=NOW_S,
            timeout_s=1.0,
        )
    store.why_down = "down"
    with pytest.raises(UnavailableError):
        await features.get({"user": ["u"], "shop": ["s"]}, now_s=NOW_S, timeout_s=1.0)


amounts = st.none() | st.floats(width=32, allow_nan=False, allow_infinity=False)
written = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 90), amounts, st.none() | st.text("xy")),
    min_size=1,
    max_size=10,
)


@settings(max_examples=15)  # each writes files and joins them
@given(rows=written)
async def test_history_at_present_equals_what_is_served(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, int, float | None, str | None]]
) -> None:
    folder = tmp_path_factory.mktemp("history")
    view = a_view("car", (MIXED[1], MIXED[4]), entity="car")  # amount is stale after 60 s
    store = FakeFeatureStore()
    through = WriteThrough(view, store, folder)
    for car, age_s, amount, country in rows:
        through.write(
            pa.table(
                {
                    "car": [car],
                    "event_time": pa.array([_moment(-age_s)], pa.timestamp("us")),
                    "amount": pa.array([amount], pa.float64()),
                    "country": pa.array([country], pa.string()),
                }
            )
        )
    refs = [FeatureRef("car", 1, "amount"), FeatureRef("car", 1, "country")]
    cars = ["a", "b", "c", "d"]

    served = await OnlineFeatures(store, refs, [view]).get(
        {"car": cars}, now_s=NOW_S, timeout_s=1.0
    )
    asked = pa.table({"car": cars, "event_time": pa.array([_moment(0)] * 4, pa.timestamp("us"))})
    source = HistorySource(str(folder / f"view={view}" / "*.parquet"), "car")
    history = get_historical_features(asked, refs, [view], {"car@1": source}, use_stale=True)

    assert served.statuses.tolist() == history.statuses.tolist()
    for mine, theirs in zip(served.columns, history.columns, strict=True):
        assert mine.tolist() == theirs.tolist()


def _moment(offset_s: int) -> datetime:
    return datetime.fromtimestamp(NOW_S + offset_s, tz=UTC).replace(tzinfo=None)
