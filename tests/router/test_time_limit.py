"""A time limit: exact on a responsive loop, and fair to data that arrived while the loop was blocked."""

import asyncio
from collections.abc import Callable

import pytest

from router.adapters.time_limit import TimeLimit
from tests.virtual_time import skip

pytestmark = pytest.mark.virtual_time


def now_s() -> float:
    return asyncio.get_running_loop().time()


def after_turns(count: int, callback: Callable[[], object]) -> None:
    """Call `callback` after `count` turns of the loop: reading an answer takes several."""
    if count:
        asyncio.get_running_loop().call_soon(after_turns, count - 1, callback)
    else:
        callback()


async def test_a_block_that_takes_too_long_is_ended_at_the_limit() -> None:
    with pytest.raises(TimeoutError):
        async with TimeLimit(0.5):
            await asyncio.sleep(0.6)

    assert now_s() == pytest.approx(0.5)


async def test_a_block_that_ends_in_time_is_left_alone() -> None:
    async with TimeLimit(0.5):
        await asyncio.sleep(0.4)

    await asyncio.sleep(1.0)


async def test_data_read_after_the_loop_was_blocked_counts() -> None:
    answer = asyncio.Event()

    def hold() -> None:
        skip(1.0)
        after_turns(5, answer.set)

    async with TimeLimit(0.5):
        asyncio.get_running_loop().call_soon(hold)
        await answer.wait()


async def test_a_blocked_loop_extends_the_limit_only_briefly() -> None:
    asyncio.get_running_loop().call_soon(skip, 1.0)

    with pytest.raises(TimeoutError):
        async with TimeLimit(0.5):
            await asyncio.Event().wait()

    assert 1.0 < now_s() < 1.01
