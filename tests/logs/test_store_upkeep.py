"""Rows in an object store that are removed on purpose: gone for good, and no others."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from stack.__main__ import app
from tests.logs.builders import DATE, score_batch
from tests.logs.shipped_logs import (
    AT_ONCE,
    IDS,
    KEPT,
    KEY,
    erase,
    has_u1,
    requests,
    shipped,
    url_of,
    written,
)
from tests.seaweed import seaweed_for_this_process
from understudy.domain.errors import NotFoundError, UnavailableError
from understudy.domain.logged_ids import IdForm, LoggedIds
from understudy.domain.store_urls import StoreUrl
from understudy.logs.compaction import compact_files
from understudy.logs.store_upkeep import remove_days_in_store, remove_unit_in_store
from understudy.logs.writer import LogWriter
from understudy.runtime import exit_codes
from understudy.runtime.object_store import ObjectStore

DAY = date.fromisoformat(DATE)
WITHOUT_U1 = ["r0", "r10", "r12", "r2", "r91"]


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with seaweed_for_this_process(tmp_path_factory.mktemp("seaweed"), "erasures"):
        yield


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return the folder of logs of two days, in which u1 has a row of each log and is a candidate."""
    return written(tmp_path / "logs", days=2)


@pytest.mark.parametrize("kind", ["folder", pytest.param("s3", marks=pytest.mark.long)])
def test_a_unit_is_erased_from_all_logs_in_a_store_and_nothing_else_is(
    root: Path, tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    if kind == "s3":
        request.getfixturevalue("s3")
    url = url_of(tmp_path) if kind == "folder" else StoreUrl("erasures", tmp_path.name)
    store = shipped(root, url)

    counted = remove_unit_in_store(store, "u1", IDS, model="fraud", dry_run=True)
    done = remove_unit_in_store(store, "u1", IDS, model="fraud", dry_run=False)

    assert counted == done
    assert (done.rows, done.left_out, done.unfinished_rows) == (2 + 2 + 2 + 1, 0, 0)
    assert requests(store) == WITHOUT_U1
    assert requests(store, "shadow") == requests(store, "outcomes") == ["r0", "r10", "r12", "r2"]
    assert not has_u1(store)
    assert erase(store) == 0


def test_files_that_a_router_still_has_bring_no_erased_row_back(root: Path, tmp_path: Path) -> None:
    """A router that starts again compares its files with the store's, and sends those that differ."""
    store = shipped(root, url_of(tmp_path), KEPT)
    erase(store)
    erase(store, "u0")
    erase(store, "u2")
    assert requests(store) == []

    shipped(root, url_of(tmp_path), KEPT)

    assert requests(store) == []
    assert not has_u1(store)


def test_a_file_that_is_merged_after_the_erasure_brings_no_erased_row_back(
    root: Path, tmp_path: Path
) -> None:
    with LogWriter(root, ids=IDS) as writer:
        assert writer.offer(score_batch(1, first=20, entity_ids=["u9"]))
    store = shipped(root, url_of(tmp_path), KEPT)
    erase(store)
    assert compact_files(root, model=None, small_bytes=1 << 20, dry_run=False).into

    shipped(root, url_of(tmp_path), KEPT)

    assert requests(store) == sorted([*WITHOUT_U1, "r20"])
    assert not has_u1(store)


def test_objects_that_a_merged_one_has_replaced_are_no_second_copy(
    root: Path, tmp_path: Path
) -> None:
    """A router that was killed between the merged file and its sources leaves both in the store."""
    with LogWriter(root, ids=IDS) as writer:
        assert writer.offer(score_batch(1, first=20, entity_ids=["u9"]))
    store = shipped(root, url_of(tmp_path), KEPT)
    sources = {each.key: store.read(each.key) for each in store.listed("score")}
    compact_files(root, model=None, small_bytes=1 << 20, dry_run=False)
    shipped(root, url_of(tmp_path), AT_ONCE)
    for key, content in sources.items():
        store.put(key, content)

    assert remove_unit_in_store(store, "u1", IDS, model=None, dry_run=True).rows == 7
    assert erase(store) == 7

    assert not has_u1(store)
    assert requests(store) == sorted([*WITHOUT_U1, "r20"])


def test_objects_that_cannot_be_searched_stay_and_are_counted(root: Path, tmp_path: Path) -> None:
    store = shipped(root, url_of(tmp_path))
    (one, *_) = sorted(each.key for each in store.listed("score"))
    folder = one.rpartition("/")[0]
    content = store.read(one)
    behind = len(content) // 3
    store.put(f"{folder}/v1-foreign.parquet", b"not ours")
    store.put(f"{folder}/v1-cut.parquet", content[:-1])
    store.put(f"{folder}/v1-damaged.parquet", b"\xff" * behind + content[behind:])
    other = LoggedIds(IdForm.KEYED, b"the key of last year")

    done = remove_unit_in_store(store, "u1", IDS, model=None, dry_run=True)
    of_other = remove_unit_in_store(store, "u1", other, model=None, dry_run=True)

    assert (done.rows, done.left_out) == (7, 3)
    assert (of_other.rows, of_other.left_out) == (0, 2 + 3 + 2)


def test_days_that_are_over_go_from_a_store_and_the_others_stay(root: Path, tmp_path: Path) -> None:
    store = shipped(root, url_of(tmp_path))
    foreign = f"score/model=fraud/date={DATE}/foreign.parquet"
    store.put(foreign, b"not ours")
    second = DAY + timedelta(days=1)

    counted = remove_days_in_store(store, second, model=None, dry_run=True)
    done = remove_days_in_store(store, second, model=None, dry_run=False)

    assert counted == done
    assert (done.rows, done.left_out) == (3 + 3 + 3 + 2, 1)
    assert requests(store) == ["r10", "r11", "r12"]
    assert store.read(foreign) == b"not ours"


def test_a_store_that_is_away_or_has_no_logs_is_no_success(root: Path, tmp_path: Path) -> None:
    class Away(ObjectStore):
        def put(self, key: str, content: bytes) -> str:
            raise UnavailableError("object store", "told to fail")

    shipped(root, url_of(tmp_path))

    with pytest.raises(UnavailableError, match="told to fail"):
        erase(Away.open(url_of(tmp_path)))
    with pytest.raises(NotFoundError, match="log directory file://"):
        erase(ObjectStore.open(StoreUrl("", str(tmp_path / "nothing"))))


def test_the_commands_take_the_url_of_a_store(root: Path, tmp_path: Path) -> None:
    store = shipped(root, url_of(tmp_path))
    key_file = tmp_path / "key"
    key_file.write_bytes(KEY)
    key_file.chmod(0o600)
    place = ["--log-dir", str(store.url)]
    words = ["logs", "erase", *place, "--unit", "u1", "--log-key-file", str(key_file)]

    erased = CliRunner().invoke(app, words)
    again = CliRunner().invoke(app, [*words, "--output", "json"])
    retained = CliRunner().invoke(app, ["logs", "retain", *place, "--days", "1", "--dry-run"])
    compacted = CliRunner().invoke(app, ["logs", "compact", *place])

    assert erased.exit_code == again.exit_code == exit_codes.OK, erased.stderr
    assert "7 rows were removed" in erased.stdout
    assert '"rows": 0' in again.stdout
    assert retained.exit_code == exit_codes.OK, retained.stderr
    assert compacted.exit_code == exit_codes.USAGE
    assert requests(store) == WITHOUT_U1
