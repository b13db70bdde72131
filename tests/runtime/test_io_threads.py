"""A process that cannot lower the priority of threads reports it and keeps serving."""

import asyncio
import os
from typing import NoReturn

import pytest
from structlog.testing import capture_logs

from understudy.runtime.front.grpc_server import open_server, started
from understudy.runtime.io_threads import keep_io_threads_back
from understudy.runtime.transport.transport import LOCAL


def forbid(_which: int, _who: int, _priority: int) -> NoReturn:
    raise PermissionError(1, "Operation not permitted")


async def test_a_system_that_forbids_it_is_reported_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "setpriority", forbid)
    async with open_server() as server:
        LOCAL.bind(server, "127.0.0.1:0")

        with capture_logs() as lines:
            async with started(server), asyncio.timeout(60):  # which starts gRPC's threads
                await keep_io_threads_back(5)

        assert [line["event"] for line in lines] == ["io_threads_not_set_back"]
        assert "Operation not permitted" in lines[0]["why"]
