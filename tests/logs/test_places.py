"""Logs in a store are read as those in a folder are, and only the part that is asked for is fetched."""

from datetime import date, timedelta
from pathlib import Path

import pytest

from tests.logs.builders import AT_US, DATE, DAY_US, outcome_batch, score_batch
from understudy.domain.errors import InvalidInputError, NotFoundError
from understudy.domain.store_urls import StoreUrl
from understudy.logs.accounts import accounts_of
from understudy.logs.decisions.shipping import ShippingPolicy
from understudy.logs.finished_files import EVERYTHING, Scope
from understudy.logs.places import LogPlace
from understudy.logs.reader import open_logs
from understudy.logs.shipping import Shipper
from understudy.logs.writer import LogWriter
from understudy.runtime.object_store import ObjectStore

AT_ONCE = ShippingPolicy(keep_s=0, most_local_bytes=1 << 40)
DAY = date.fromisoformat(DATE)


@pytest.fixture
def place(tmp_path: Path) -> LogPlace:
    """Ship the logs of two models and two days, and remove them here."""
    with LogWriter(tmp_path / "logs") as writer:
        writer.offer(score_batch(4))
        writer.offer(score_batch(2, first=4, at_us=AT_US + DAY_US))
        writer.offer(score_batch(3, model="twin"))
        writer.offer(outcome_batch())
    store = ObjectStore.open(StoreUrl("", str(tmp_path / "objects")))
    Shipper(tmp_path / "logs", store, AT_ONCE).ship(2e9)
    return LogPlace.parse(f"file://{tmp_path / 'objects'}")


def fetched(place: LogPlace, scope: Scope) -> set[tuple[str, str]]:
    with place.opened(scope) as folder:
        files = (path.relative_to(folder).parts for path in folder.glob("score/*/*/*.parquet"))
        return {(model, day) for _, model, day, _ in files}


def test_rows_and_accounts_in_a_store_are_those_of_the_folder(place: LogPlace) -> None:
    with place.opened(Scope("fraud")) as folder:
        with open_logs(folder) as reader:
            rows = reader.rows("SELECT count(*) AS n FROM score")
        accounts = accounts_of(folder, "fraud")

    assert rows == [{"n": 6}]
    assert all(each.is_whole for each in accounts)
    assert not folder.exists(), "fetched files are left behind"


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        (EVERYTHING, {("fraud", 0), ("fraud", 1), ("twin", 0)}),
        (Scope("twin"), {("twin", 0)}),
        (Scope("fraud", since=DAY + timedelta(days=1)), {("fraud", 1)}),
        (Scope("fraud", until=DAY), {("fraud", 0)}),
        (Scope("frau"), set()),
    ],
)
def test_only_the_model_and_the_days_asked_for_are_fetched(
    place: LogPlace, scope: Scope, expected: set[tuple[str, int]]
) -> None:
    assert fetched(place, scope) == {
        (f"model={model}", f"date={DAY + timedelta(days=days)}") for model, days in expected
    }


def test_a_store_without_logs_is_no_empty_log(tmp_path: Path) -> None:
    with (
        pytest.raises(NotFoundError, match="file://"),
        LogPlace.parse(f"file://{tmp_path / 'nothing'}").opened(),
    ):
        pass


def test_a_command_that_changes_logs_refuses_a_store_by_its_option(place: LogPlace) -> None:
    with pytest.raises(InvalidInputError, match="log_dir: read 'file://"):
        _ = place.folder


def test_a_url_of_no_store_is_refused_and_a_path_is_a_folder(tmp_path: Path) -> None:
    assert LogPlace.parse(str(tmp_path)).folder == tmp_path
    with pytest.raises(InvalidInputError, match="accepted: s3://BUCKET"):
        LogPlace.parse("gs://bucket/logs")
