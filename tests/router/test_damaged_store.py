"""A router process over an LMDB store that is damaged: its calls, levels and status."""

from pathlib import Path
from shutil import copytree, rmtree

import psutil
import pytest

from stack.processes import ROUTER
from stack.traffic import Traffic
from tests.features.lmdb_damage import cut_to, remove, zero_pages
from tests.router.router_process import (
    RouterProcess,
    ServedScorer,
    load_users,
    open_router_process,
)
from tests.router.samples import deployment
from tests.router.test_faults_under_load import (
    CALLS,
    FEATURES,
    FULL,
    PATIENT_S,
    levels,
    under_load,
    until_full_again,
)
from tests.stack.waiting import until

pytestmark = [pytest.mark.fault, pytest.mark.slow]
PATIENT = {"largest_deadline_s": PATIENT_S, "feature_slow_s": PATIENT_S, "cool_down_s": 0.05}


@pytest.fixture
def original(tmp_path: Path) -> Path:
    load_users(f"lmdb:{tmp_path / 'original'}")
    return tmp_path / "original"


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    return copytree(original, tmp_path / "features.lmdb")


async def _troubles(router: RouterProcess) -> list[str]:
    return list((await router.books()).feature_store_troubles)


async def _until_degraded(traffic: Traffic) -> None:
    at_fault = len(traffic.calls)

    async def is_degraded() -> bool:
        return levels(traffic, since=at_fault)[FEATURES] > 0

    await until(is_degraded)


async def _is_troubled(router: RouterProcess) -> bool:
    return await _troubles(router) != []


async def _until_well(
    original: Path, folder: Path, router: RouterProcess, traffic: Traffic
) -> None:
    """Restore the store, and return when calls are answered at L0 again."""
    rmtree(folder)
    copytree(original, folder)
    await until_full_again(traffic)
    assert await _troubles(router) == []


@pytest.mark.long
async def test_a_damaged_store_costs_a_level_and_no_call_until_it_is_well(
    original: Path, folder: Path, tmp_path: Path
) -> None:
    zero_pages(2, 1)(folder / "data.mdb")
    async with (
        open_router_process(
            tmp_path, deployment(), {1: [ServedScorer()]}, features=f"lmdb:{folder}", **PATIENT
        ) as router,
        under_load(router) as traffic,
    ):
        workers = _workers(router)
        assert set(levels(traffic)) == {FEATURES}
        assert await _troubles(router) != []
        await _until_well(original, folder, router, traffic)

        cut_to(0)(folder / "data.mdb")
        await _until_degraded(traffic)
        assert await _troubles(router) != []
        await _until_well(original, folder, router, traffic)

        remove(folder / "data.mdb")  # the open file is read on
        await until(lambda: _is_troubled(router))
        at_removal = len(traffic.calls)
        await traffic.until_ended(traffic.ended + CALLS)
        assert set(levels(traffic, since=at_removal)) == {FULL}
        assert _workers(router) == workers

    assert traffic.failures == []


def _workers(router: RouterProcess) -> set[int]:
    parent = psutil.Process(router.supervisor.pids()[ROUTER])
    return {worker.pid for worker in parent.children()}
