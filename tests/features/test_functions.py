"""Functions added to expressions by entry points of installed packages."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from tests.features.builders import NOW_S
from tests.features.fakes import FakeFeatureStore
from understudy.domain.errors import InvalidInputError
from understudy.domain.features import FeatureRef
from understudy.features.history.history import get_historical_features
from understudy.features.loading.history_files import HistorySource
from understudy.features.loading.write_through import WriteThrough
from understudy.features.serving.functions import GROUP, deployed_functions
from understudy.features.serving.online import OnlineFeatures
from understudy.features.views import parse_views

CODE = """
import numpy as np

def distance_km(x, y):
    return np.hypot(x, y)
"""
VIEWS = """
views:
  - name: far
    version: 1
    kind: computed
    inputs: {x: "car@1:x", y: "car@1:y"}
    features: [{name: km, dtype: float64, expression: "distance_km_v1(x, y) + 1"}]
  - name: car
    version: 1
    entity: car
    features: [{name: x, dtype: float64}, {name: y, dtype: float64}]
"""
Install = Callable[[str], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Yield a function that installs a package with one entry point, and remove it at the end."""

    def put(value: str) -> None:
        folder = tmp_path / "installed"
        named = folder / "ours-1.0.dist-info"
        named.mkdir(parents=True)
        (folder / "ours_geo.py").write_text(CODE)
        (named / "METADATA").write_text("Metadata-Version: 2.1\nName: ours\nVersion: 1.0\n")
        (named / "entry_points.txt").write_text(f"[{GROUP}]\ndistance_km_v1 = {value}\n")
        monkeypatch.syspath_prepend(str(folder))
        deployed_functions.cache_clear()

    yield put
    deployed_functions.cache_clear()


async def test_an_installed_function_computes_the_same_online_and_in_history(
    install: Install, tmp_path: Path
) -> None:
    install("ours_geo:distance_km")
    far, car = parse_views(VIEWS, where="views.yaml")
    refs = [FeatureRef.parse("far@1:km")]
    store = FakeFeatureStore()
    at = datetime.fromtimestamp(NOW_S, tz=UTC)
    rows = {"car": ["a"], "event_time": [at], "x": [3.0], "y": [4.0]}
    WriteThrough(car, store, tmp_path / "history").write(pa.table(rows))

    served = await OnlineFeatures(store, refs, [far, car]).get(
        {"car": ["a"]}, now_s=NOW_S, timeout_s=1.0
    )
    history = get_historical_features(
        pa.table({"car": ["a"], "event_time": [at]}),
        refs,
        [far, car],
        {"car@1": HistorySource(f"{tmp_path}/history/*/*.parquet", "car")},
    )

    assert served.columns[0].tolist() == history.columns[0].tolist() == [6.0]


def test_a_function_that_is_not_installed_is_a_fault_of_the_view() -> None:
    with pytest.raises(InvalidInputError, match="distance_km_v1"):
        parse_views(VIEWS, where="views.yaml")


@pytest.mark.parametrize("value", ["ours_geo:gone", "ours_gone:distance_km"])
def test_an_entry_point_that_cannot_be_loaded_is_named(install: Install, value: str) -> None:
    install(value)

    with pytest.raises(InvalidInputError, match=rf"distance_km_v1: read {value}"):
        parse_views(VIEWS, where="views.yaml")
