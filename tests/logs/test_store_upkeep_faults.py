"""Removals in an object store that are killed, or made at a time: no other row is lost, and none comes back."""

import contextlib
import shutil
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Self

import pytest

from tests.logs.builders import DATE
from tests.logs.shipped_logs import (
    IDS,
    KEPT,
    LOGS,
    NOW_S,
    erase,
    has_u1,
    requests,
    shipped,
    url_of,
    written,
)
from understudy.domain.store_urls import StoreUrl
from understudy.logs.shipping import Shipper
from understudy.logs.store_upkeep import remove_days_in_store
from understudy.logs.upkeep import remove_unit
from understudy.runtime.object_store import ObjectStore

DAY = date.fromisoformat(DATE)
ALL_OF_ONE_DAY = {"r0", "r1", "r2", "r90", "r91"}


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


@pytest.fixture
def one_day(tmp_path: Path) -> Path:
    """Return the same of one day: a file of each log."""
    return written(tmp_path / "logs", days=1)


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


def copied(origin: StoreUrl, target: StoreUrl) -> None:
    one, two = ObjectStore.open(origin), ObjectStore.open(target)
    for folder in (*LOGS, "writers"):
        for each in one.listed(folder):
            two.put(each.key, one.read(each.key))


def kill_at(change: int, at: int) -> None:
    if change == at:
        raise Killed


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


def test_a_retention_that_is_killed_anywhere_is_ended_by_the_next_one(
    tmp_path: Path,
) -> None:
    shipped(written(tmp_path / "logs", days=2), url_of(tmp_path))
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
