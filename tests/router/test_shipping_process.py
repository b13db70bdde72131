"""The shipping process: killed again and again, with its store away, and beside a router under load."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.logs.builders import score_batch, wait_until
from tests.router.router_process import RouterProcess, ServedScorer, open_router_process
from tests.router.samples import MODEL, deployment
from tests.router.test_faults_under_load import CALLS, under_load
from tests.seaweed import seaweed
from tests.stack.waiting import until
from understudy.domain.errors import UnavailableError
from understudy.logs.accounts import accounts_of
from understudy.logs.finished_files import Scope
from understudy.logs.places import LogPlace
from understudy.logs.reader import open_logs
from understudy.logs.schema import LogKind
from understudy.logs.shipping_report import read_report
from understudy.logs.writer import LogWriter
from understudy.runtime.free_port import free_port
from understudy.runtime.object_store import ObjectStore

pytestmark = [pytest.mark.fault, pytest.mark.long]
FILES = 24


class Store:
    """An S3 that can be stopped and started again with its objects."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self._running = ExitStack()
        self.place = LogPlace.parse("s3://logs/fleet/one")

    def start(self, patch: pytest.MonkeyPatch) -> None:
        running = self._running.enter_context(seaweed(self._folder, self._port))
        for name, value in running.environment.items():
            patch.setenv(name, value)

    def stop(self) -> None:
        self._running.close()

    def files(self) -> int:
        """Return the number of log files in it; 0 while it is away."""
        assert not isinstance(self.place.at, Path)
        try:
            return len(list(ObjectStore.open(self.place.at).listed("score")))
        except UnavailableError:
            return 0


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    store = Store(tmp_path / "seaweed")
    store.start(monkeypatch)
    yield store
    store.stop()


def numbers_in(place: LogPlace, model: str) -> list[int]:
    with place.opened(Scope(model)) as folder:
        with open_logs(folder) as reader:
            rows = reader.rows("SELECT writer_sequence AS n FROM score ORDER BY n")
            assert reader.left_out == ()
        assert all(
            each.is_whole for each in accounts_of(folder, model) if each.log is LogKind.SCORE
        )
    return [row["n"] for row in rows]


@contextmanager
def shipping(root: Path, target: LogPlace) -> "Iterator[subprocess.Popen[bytes]]":
    settings = {
        "ROUTER_LOG_TARGET": str(target),
        "ROUTER_LOG_KEEP_S": "0",
        "ROUTER_LOG_DIR": str(root / "logs"),
        "ROUTER_STATE_DIR": str(root),
        "ROUTER_FEATURES": "lmdb:unused",
        "ROUTER_LOG_IDS": "unkeyed",
    }
    with subprocess.Popen(
        [sys.executable, "-m", "router", "ship"],
        env=os.environ | settings,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_shipper_killed_again_and_again_sends_each_row_once_and_whole(
    tmp_path: Path, store: Store
) -> None:
    with LogWriter(tmp_path / "logs") as writer:
        for number in range(FILES):
            assert writer.offer(score_batch(50, first=number * 50))
            assert writer.flush(60)

    for sent in (0, 1, 5, 12):
        with shipping(tmp_path, store.place) as process:
            wait_until(partial(_has, store, sent), what="files in the store")
    with shipping(tmp_path, store.place) as process:
        wait_until(lambda: store.files() == FILES, what="all files in the store")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0

    assert numbers_in(store.place, "fraud") == list(range(1, FILES * 50 + 1))
    report = read_report(tmp_path)
    assert report is not None
    assert (report.waiting_files, report.trouble) == (0, "")
    assert list((tmp_path / "logs" / "score").rglob("*.parquet")) == []


async def test_a_store_that_is_away_fails_no_call_and_has_all_rows_after_its_return(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_router_process(
        tmp_path,
        deployment(),
        {1: [ServedScorer()]},
        log_target=str(store.place),
        log_keep_s=0,
        termination_s=120.0,
    ) as router:
        async with under_load(router) as traffic:
            await asyncio.to_thread(store.stop)
            await until(partial(_is_in_trouble, router))
            await traffic.until_ended(traffic.ended + 2 * CALLS)
            shown = (await router.books()).log_shipping
            await asyncio.to_thread(store.start, monkeypatch)
        await router.stop()

    assert traffic.failures == []
    assert "object store s3://logs/fleet/one" in shown.trouble
    assert shown.waiting_files > 0
    assert numbers_in(store.place, MODEL) == list(range(1, len(traffic.calls) + 1))


def _has(store: Store, files: int) -> bool:
    return store.files() >= files


async def _is_in_trouble(router: RouterProcess) -> bool:
    return bool((await router.books()).log_shipping.trouble)
