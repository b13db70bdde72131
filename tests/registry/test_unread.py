"""Answers that are not read: their bytes have a limit, in all and to one address."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.decisions.seats import Full, ShareLimits
from registry.decisions.unread_bytes import UnreadBytes
from registry.settings import RegistrySettings
from tests.registry.operator import Operator, running_server
from tests.runtime.raw_http2 import call_without_reading
from tests.stack.waiting import until
from understudy.registry.v1 import registry_pb2 as pb

Status = grpc.StatusCode
SERVICE = "/understudy.registry.v1.RegistryService/"
SHARE_BYTES = 32 << 10  # of a few calls
DEAF = 20
PEERS = st.sampled_from(["a", "b", "c"])


@given(st.lists(st.tuples(PEERS, st.integers(1, 50), st.booleans()), max_size=40))
def test_unread_bytes_stay_in_their_limits_but_for_single_answers(
    steps: list[tuple[str, int, bool]],
) -> None:
    limits = ShareLimits(total=60, per_peer=40)
    unread = UnreadBytes(limits)
    held: list[tuple[str, int]] = []
    for peer, size_bytes, leaves in steps:
        if leaves and held:
            unread = unread.without_answer_to(*held.pop(0))
            continue
        answer = unread.with_answer_to(peer, size_bytes)
        if isinstance(answer, UnreadBytes):
            unread = answer
            held.append((peer, size_bytes))
        of_peer = [size for name, size in held if name == peer]
        assert sum(of_peer) <= limits.per_peer or len(of_peer) == 1
        assert unread.total <= limits.total or len(held) == 1
        assert isinstance(answer, UnreadBytes | Full)
    assert unread.unread == {
        peer: sum(size for name, size in held if name == peer)
        for peer in {name for name, _ in held}
    }


def test_the_default_share_holds_a_machine_whose_processes_restart() -> None:
    limits = RegistrySettings(unproven=True, dir="d").unread_limits
    watchers, snapshot_bytes = 2 * (64 + 1), 1 << 20

    assert limits.per_peer >= watchers * snapshot_bytes // 2
    assert limits.total >= limits.per_peer


@asynccontextmanager
async def deaf_calls(port: int, rpc: str, count: int) -> AsyncIterator[None]:
    """Make calls that may not be answered a byte, until the block ends."""
    writers = [await call_without_reading(port, SERVICE + rpc) for _ in range(count)]
    try:
        yield
    finally:
        for writer in writers:
            writer.close()


@pytest.mark.fault
async def test_watchers_that_never_read_hold_no_more_than_their_share(tmp_path: Path) -> None:
    async with running_server(tmp_path, max_unread_bytes_per_peer=SHARE_BYTES) as (opened, channel):
        operator = Operator(channel)
        async with deaf_calls(opened.port, "Watch", DEAF):
            await until(lambda: is_reached(opened.watchers.count, DEAF))
            await asyncio.sleep(0)
            held_bytes = opened.unread.total_bytes
            waiting = asyncio.ensure_future(operator.seen(lambda _: True))
            await until(lambda: is_reached(opened.watchers.count, DEAF + 1))
            assert not waiting.done()

        snapshot = await waiting

    assert 0 < held_bytes <= SHARE_BYTES
    assert snapshot.lineage
    assert opened.unread.total_bytes == 0


@pytest.mark.fault
async def test_answers_that_are_never_read_hold_no_more_than_their_share(tmp_path: Path) -> None:
    async with running_server(tmp_path, max_unread_bytes_per_peer=SHARE_BYTES) as (opened, channel):
        operator = Operator(channel)

        async def refusal() -> str:
            try:
                await operator.stub.GetStatus(pb.GetStatusRequest())
            except grpc.aio.AioRpcError as error:
                return f"{error.code().name}: {error.details()}"
            return ""

        async def is_refused() -> bool:
            return (await refusal()).startswith("RESOURCE_EXHAUSTED: the room for answers")

        async def is_answered() -> bool:
            return not await refusal()

        async with deaf_calls(opened.port, "GetStatus", DEAF):
            await until(is_refused)
            held_bytes = opened.unread.total_bytes

        await until(is_answered)

    assert 0 < held_bytes <= SHARE_BYTES
    assert opened.unread.total_bytes == 0


async def is_reached(count: int, wanted: int) -> bool:
    return count >= wanted
