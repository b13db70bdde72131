"""The logs of a router that lets a group read them."""

import os
import stat
from pathlib import Path

import pytest

from tests.router.router_process import USERS, ServedScorer, open_router_process
from tests.router.samples import MODEL, deployment
from understudy.client.async_scoring_client import AsyncScoringClient
from understudy.domain.errors import InvalidInputError

pytestmark = pytest.mark.fault


def modes_of_sockets(folder: Path) -> list[int]:
    return [path.stat().st_mode for path in folder.glob("*.sock")]


async def test_the_group_reads_the_logs_and_may_not_use_the_sockets(tmp_path: Path) -> None:
    shared = {"log_mode": "0750", "log_group": str(os.getgid())}
    async with (
        open_router_process(tmp_path, deployment(), {1: [ServedScorer()]}, **shared) as router,
        AsyncScoringClient(router.address, timeout_s=60.0) as client,
    ):
        await client.score(MODEL, {"user": USERS[0]})
        sockets = modes_of_sockets(tmp_path)
        await router.stop()

    logs = tmp_path / "logs"
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (logs, *logs.rglob("*"))}
    assert list(logs.rglob("*.parquet"))
    assert modes == {0o2750, 0o640}
    assert sockets
    assert not any(mode & 0o077 for mode in sockets)


async def test_a_group_that_does_not_exist_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="router: log_group: read 'no-such-group'"):
        async with open_router_process(
            tmp_path,
            deployment(),
            {1: [ServedScorer()]},
            log_mode="0750",
            log_group="no-such-group",
        ):
            pass
