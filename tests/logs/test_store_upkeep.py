"""Rows in an object store that are removed on purpose: gone for good, and no others."""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Self

import pytest
from typer.testing import CliRunner

from stack.__main__ import app
from tests.logs.builders import AT_US, DATE, DAY_US, outcome_batch, score_batch, shadow_batch
from tests.seaweed import seaweed_for_this_process
from understudy.domain.errors import NotFoundError, UnavailableError
from understudy.domain.logged_ids import IdForm, LoggedIds
from understudy.domain.store_urls import StoreUrl
from understudy.logs.accounts import accounts_of
from understudy.logs.compaction import compact_files
from understudy.logs.decisions.shipping import ShippingPolicy
from understudy.logs.places import LogPlace
from understudy.logs.reader import open_logs
from understudy.logs.shipping import Shipper
from understudy.logs.store_upkeep import remove_days_in_store, remove_unit_in_store
from understudy.logs.upkeep import remove_unit
from understudy.logs.writer import LogWriter
from understudy.runtime import exit_codes
from understudy.runtime.object_store import ObjectStore

KEY = b"sixteen bytes..."
IDS = LoggedIds(IdForm.KEYED, KEY)
DAY = date.fromisoformat(DATE)
NOW_S = 2e9  # after all files
KEPT = ShippingPolicy(keep_s=1e10, most_local_bytes=1 << 40)
AT_ONCE = ShippingPolicy(keep_s=0, most_local_bytes=1 << 40)
LOGS = ("score", "shadow", "outcomes")
ALL_OF_ONE_DAY = {"r0", "r1", "r2", "r90", "r91"}
WITHOUT_U1 = ["r0", "r10", "r12", "r2", "r91"]


class Killed(BaseException):
    """The end of a process in the middle of its work."""


class SteppedStore(ObjectStore):
    """A store that runs an action before one of its changes, counted from 1."""

    before: Callable[[int], object] = staticmethod(lambda _: None)
    changes = 0

    def put(self, key: str, content: bytes) -> str:
        self._step()
        return super().put(key, content)

    def remove(self, key: str) -> None:
        self._step()
        super().remove(key)

    def _step(self) -> None:
        self.changes += 1
        self.before(self.changes)

    @classmethod
    def acting(cls, url: StoreUrl, before: Callable[[int], object]) -> Self:
        store = cls.open(url)
        store.before = before
        return store


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with seaweed_for_this_process(tmp_path_factory.mktemp("seaweed"), "erasures"):
        yield


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return the folder of logs of two days, in which u1 has a row of each log and is a candidate."""
    return written(tmp_path / "logs", days=2)


@pytest.fixture
def one_day(tmp_path: Path) -> Path:
    """Return the same of one day: a file of each log."""
    return written(tmp_path / "logs", days=1)


def written(root: Path, days: int) -> Path:
    with LogWriter(root, ids=IDS) as writer:
        for day in range(days):
            at_us, first = AT_US + day * DAY_US, 10 * day
            given = {"first": first, "at_us": at_us, "entity_ids": ["u0", "u1", "u2"]}
            writer.offer(score_batch(3, **given))  # type: ignore[arg-type]  # passed on
            writer.offer(shadow_batch(**given))  # type: ignore[arg-type]  # passed on
            writer.offer(outcome_batch(first=first, at_us=at_us))
        candidates = ["u1", "u3"]
        writer.offer(score_batch(2, first=90, entity_ids=["u2", "u2"], candidate_ids=candidates))
    return root


def url_of(tmp_path: Path) -> StoreUrl:
    return StoreUrl("", str(tmp_path / "objects"))


def shipped(root: Path, url: StoreUrl, policy: ShippingPolicy = AT_ONCE) -> ObjectStore:
    store = ObjectStore.open(url)
    assert Shipper(root, store, policy).ship(NOW_S).trouble == ""
    return store


def erase(store: ObjectStore, unit: str = "u1") -> int:
    return remove_unit_in_store(store, unit, IDS, model=None, dry_run=False).rows


def requests(place: ObjectStore | StoreUrl, log: str = "score") -> list[str]:
    """Return the ids in a log, as its readers see them; each row must be there once, or stated."""
    url = place.url if isinstance(place, ObjectStore) else place
    with LogPlace(url).opened() as folder:
        with open_logs(folder) as reader:
            rows = reader.rows(f"SELECT request_id FROM {log} ORDER BY request_id")  # noqa: S608 - ours
        if log == "score":  # the accounts are of all logs
            assert all(each.is_whole for each in accounts_of(folder, "fraud"))
    return [row["request_id"] for row in rows]


def has_u1(store: ObjectStore) -> bool:
    (digest,) = IDS.written(["u1"])
    keys = [each.key for log in LOGS for each in store.listed(log)]
    return any(digest.encode() in store.read(key) for key in keys)


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


def changes_of(store_of: Callable[[int], StoreUrl], act: Callable[[StoreUrl, int], int]) -> int:
    """Run an action that is interrupted before its first change, its second … until it has none left."""
    at = 1
    while act(store_of(at), at) >= at:
        at += 1
    return at - 1


def copies(tmp_path: Path) -> Callable[[int], StoreUrl]:
    """Return a copy of the store for each interruption."""

    def copy(at: int) -> StoreUrl:
        url = StoreUrl("", str(tmp_path / f"copy-{at}"))
        copied(url_of(tmp_path), url)
        return url

    return copy


def test_an_erasure_that_is_killed_anywhere_loses_no_other_row_and_the_next_one_ends_it(
    one_day: Path, tmp_path: Path
) -> None:
    shipped(one_day, url_of(tmp_path))

    def killed(url: StoreUrl, at: int) -> int:
        store = SteppedStore.acting(url, lambda change: kill_at(change, at))
        try:
            erase(store)
        except Killed:
            assert {"r0", "r2", "r91"} <= set(requests(url)) <= ALL_OF_ONE_DAY
            erase(ObjectStore.open(url))
        assert requests(url) == ["r0", "r2", "r91"]
        assert not has_u1(ObjectStore.open(url))
        return store.changes

    assert changes_of(copies(tmp_path), killed) == 3 + 3  # statements, and a file of each log


def kill_at(change: int, at: int) -> None:
    if change == at:
        raise Killed


def copied(origin: StoreUrl, target: StoreUrl) -> None:
    one, two = ObjectStore.open(origin), ObjectStore.open(target)
    for folder in (*LOGS, "writers"):
        for each in one.listed(folder):
            two.put(each.key, one.read(each.key))


def test_two_erasures_at_a_time_bring_no_row_of_the_other_back(
    one_day: Path, tmp_path: Path
) -> None:
    shipped(one_day, url_of(tmp_path))

    def interrupted(url: StoreUrl, at: int) -> int:
        other = ObjectStore.open(url)
        store = SteppedStore.acting(url, lambda n: n == at and erase(other, "u2"))
        erase(store)
        if store.changes >= at:
            assert [requests(url, log) for log in LOGS] == [["r0"]] * 3
        return store.changes

    assert changes_of(copies(tmp_path), interrupted) >= 3 + 3


def test_an_erasure_in_a_folder_that_is_shipped_meanwhile_keeps_its_effect(
    one_day: Path, tmp_path: Path
) -> None:
    """The shipping process is paused before each of its changes while the other erasure goes on."""
    for paused_at in range(1, 8):
        root, url = tmp_path / f"root-{paused_at}", StoreUrl("", str(tmp_path / f"at-{paused_at}"))
        shutil.copytree(one_day, root)
        of_shipper = SteppedStore.open(url)
        shipper = Shipper(root, of_shipper, KEPT)
        shipper.ship(NOW_S)

        def ship(change: int) -> None:
            if change == 4:  # the first file, after the statements of three logs
                remove_unit(root, "u2", IDS, model=None, dry_run=False)  # noqa: B023 - called in this turn only
                last = of_shipper.changes + paused_at  # noqa: B023 - as above
                of_shipper.before = lambda n: kill_at(n, last)  # noqa: B023 - as above
                with contextlib.suppress(Killed):
                    shipper.ship(NOW_S)  # noqa: B023 - as above

        erase(SteppedStore.acting(url, ship))
        shipper.ship(NOW_S)

        for log in LOGS:
            assert requests(url, log) == ["r0"], f"paused before change {paused_at}"


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


def test_a_retention_that_is_killed_anywhere_is_ended_by_the_next_one(
    root: Path, tmp_path: Path
) -> None:
    shipped(root, url_of(tmp_path))
    second = DAY + timedelta(days=1)

    def killed(url: StoreUrl, at: int) -> int:
        store = SteppedStore.acting(url, lambda change: kill_at(change, at))
        try:
            remove_days_in_store(store, second, model=None, dry_run=False)
        except Killed:
            assert set(requests(url)) >= {"r10", "r11", "r12"}
            remove_days_in_store(ObjectStore.open(url), second, model=None, dry_run=False)
        assert requests(url) == ["r10", "r11", "r12"]
        return store.changes

    assert changes_of(copies(tmp_path), killed) == 3 + 3  # statements, and a file of each log


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
