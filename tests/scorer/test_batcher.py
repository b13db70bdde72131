"""Batching: which requests run together, who gets which rows, and which are never run."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from scorer.decisions.run_place import RunPlace
from scorer.server.batcher import Arrays, Batcher, BatchLimits, split_rows
from scorer.server.coming_calls import ComingCalls
from scorer.server.request_reader import ReadRequest
from tests.scorer.fakes import POISON, CountingObserver, DoublingRunner, Gate, column
from understudy.domain.errors import DeadlinePassedError, InvalidInputError, OverloadedError

GATHER_S = 60.0  # a run that begins earlier has its reason
LIMITS = BatchLimits(max_batch_rows=8, max_queue_rows=16, gather_s=GATHER_S, enough_rows=8)
HURRIED = replace(LIMITS, gather_s=0.005)  # for tests that hold batches which run together
INLINE_S = 10.0
IN_WORKER_S = -1.0  # every run leaves the loop


def request(array: NDArray[np.float32], key: Sequence[object] = ("k",)) -> ReadRequest:
    return ReadRequest((array,), len(array), (0,), tuple(key))


class Bench:
    def __init__(self, runner: DoublingRunner, limits: BatchLimits, inline_s: float) -> None:
        self.runner = runner
        self.observer = CountingObserver()
        self.coming = ComingCalls()
        self.now_s = 0.0
        self.batcher = Batcher(
            runner,
            limits,
            observer=self.observer,
            coming=self.coming,
            place=RunPlace(inline_s),
            now_s=lambda: self.now_s,
        )

    async def run(
        self, *values: float, deadline_s: float | None = None, key: Sequence[object] = ("k",)
    ) -> list[float]:
        outputs = await self.batcher.run(request(column(*values), key), deadline_s=deadline_s)
        answer: list[float] = outputs[0][:, 0].tolist()
        return answer


@asynccontextmanager
async def bench(
    runner: DoublingRunner | None = None,
    *,
    limits: BatchLimits = LIMITS,
    inline_s: float = INLINE_S,
) -> AsyncIterator[Bench]:
    made = Bench(runner or DoublingRunner(), limits, inline_s)
    yield made
    await made.batcher.close()


@asynccontextmanager
async def held_bench(limits: BatchLimits = LIMITS) -> AsyncIterator[tuple[Bench, Gate]]:
    """Yield a bench whose first run, of request [0.0], is blocked in the worker thread."""
    gate = Gate()
    async with bench(DoublingRunner(before=gate), limits=limits, inline_s=IN_WORKER_S) as made:
        first = asyncio.ensure_future(made.run(0.0))
        await gate.entered.wait()
        try:
            yield made, gate
        finally:
            gate.open()
            await first


async def until_queued(made: Bench, rows: int) -> None:
    async with asyncio.timeout(60):
        while made.batcher.queued_rows < rows:  # noqa: ASYNC110 - counts turns of the loop, not time
            await asyncio.sleep(0)


async def test_a_lone_call_runs_at_once_on_the_loop() -> None:
    async with bench() as made:
        call = made.batcher.run(request(column(1.0)), deadline_s=None)
        with pytest.raises(StopIteration) as answered:
            call.send(None)  # to its end, without a turn of the loop

    assert answered.value.value[0].tolist() == [[2.0]]
    assert made.runner.threads == [threading.get_ident()]


async def test_a_long_run_leaves_the_loop() -> None:
    async with bench(inline_s=IN_WORKER_S) as made:
        assert await made.run(1.0) == [2.0]

    assert made.runner.threads != [threading.get_ident()]


async def test_calls_that_arrive_during_a_run_share_the_next_one() -> None:
    async with held_bench() as (made, gate):
        calls = [asyncio.ensure_future(made.run(float(at))) for at in (1, 2, 3)]
        await until_queued(made, 3)
        gate.open()
        assert await asyncio.gather(*calls) == [[2.0], [4.0], [6.0]]

    assert made.runner.ran == [[0.0], [1.0, 2.0, 3.0]]


async def test_a_call_on_its_way_is_waited_for() -> None:
    async with bench() as made:
        made.coming.accept()
        first = asyncio.ensure_future(made.run(1.0))
        await until_queued(made, 1)
        assert made.runner.ran == []
        made.coming.enter()
        assert await made.run(2.0) == [4.0]
        assert await first == [2.0]

    assert made.runner.ran == [[1.0, 2.0]]


async def test_enough_rows_do_not_wait() -> None:
    async with bench() as made:
        made.coming.accept()
        call = asyncio.ensure_future(made.run(*[1.0] * 8))
        await asyncio.sleep(0)

        assert made.runner.ran == [[1.0] * 8]
        await call


@pytest.mark.virtual_time
async def test_a_call_on_its_way_that_never_arrives_delays_others_only_briefly() -> None:
    async with bench() as made:
        made.coming.accept()
        assert await made.run(1.0) == [2.0]
        assert asyncio.get_running_loop().time() == pytest.approx(GATHER_S)
        next_call = made.batcher.run(request(column(2.0)), deadline_s=None)
        with pytest.raises(StopIteration):
            next_call.send(None)  # it does not wait for the missing call either

    assert made.runner.ran == [[1.0], [2.0]]


async def test_a_batch_stops_at_its_limit_of_rows() -> None:
    async with held_bench() as (made, gate):
        calls = [asyncio.ensure_future(made.run(*([float(at)] * 3))) for at in range(1, 5)]
        await until_queued(made, 12)
        gate.open()
        await asyncio.gather(*calls)

    assert [len(rows) for rows in made.runner.ran] == [1, 6, 6]


async def test_a_single_request_above_the_limit_still_runs() -> None:
    async with bench() as made:
        assert await made.run(*[1.0] * 20) == [2.0] * 20


async def test_a_large_group_does_not_starve_the_others() -> None:
    async with held_bench() as (made, gate):
        many = [asyncio.ensure_future(made.run(*[1.0] * 5, key=("a",))) for _ in range(2)]
        one = asyncio.ensure_future(made.run(2.0, key=("b",)))
        await until_queued(made, 11)
        gate.open()
        await asyncio.gather(*many, one)

    assert [rows[0] for rows in made.runner.ran] == [0.0, 1.0, 2.0, 1.0]


async def test_requests_that_cannot_be_joined_run_separately() -> None:
    async with held_bench() as (made, gate):
        left = [asyncio.ensure_future(made.run(1.0, key=("a",))) for _ in range(3)]
        right = [asyncio.ensure_future(made.run(2.0, key=("b",))) for _ in range(3)]
        await until_queued(made, 6)
        gate.open()
        await asyncio.gather(*left, *right)

    assert made.runner.ran == [[0.0], [1.0] * 3, [2.0] * 3]


async def test_requests_without_a_row_axis_run_one_by_one() -> None:
    async with held_bench() as (made, gate):
        calls = [asyncio.ensure_future(made.run(float(at), key=())) for at in (1, 2)]
        await until_queued(made, 2)
        gate.open()
        await asyncio.gather(*calls)

    assert made.runner.ran == [[0.0], [1.0], [2.0]]


async def test_answers_are_sent_before_the_next_batch_runs() -> None:
    """Between runs on the loop, answers are sent and health probes are served."""
    answered: list[int] = []
    answered_before: list[int] = []
    runner = DoublingRunner(before=lambda: answered_before.append(len(answered)))
    async with bench(runner) as made:
        for _ in range(3):
            made.coming.accept()

        async def call(value: float) -> None:
            made.coming.enter()
            await made.run(value, key=())
            answered.append(1)

        await asyncio.gather(*(call(float(at)) for at in range(3)))

    assert answered_before == [0, 1, 2]


async def test_a_call_that_arrives_between_runs_waits_for_its_turn() -> None:
    async with bench() as made:
        for _ in range(2):
            made.coming.accept()

        async def call(value: float) -> list[float]:
            made.coming.enter()
            return await made.run(value, key=())

        async def follow() -> list[float]:
            await call(0.0)
            return await call(2.0)

        second, first = await asyncio.gather(follow(), call(1.0))

    assert (first, second) == ([2.0], [4.0])
    assert made.runner.ran == [[0.0], [1.0], [2.0]]


async def test_a_deadline_that_passes_in_the_queue_is_counted_and_never_run() -> None:
    async with held_bench() as (made, gate):
        late = asyncio.ensure_future(made.run(1.0, deadline_s=5.0))
        in_time = asyncio.ensure_future(made.run(2.0, deadline_s=50.0))
        await until_queued(made, 2)
        made.now_s = 5.0
        gate.open()
        with pytest.raises(DeadlinePassedError):
            await late
        assert await in_time == [4.0]

    assert made.runner.ran == [[0.0], [2.0]]
    assert made.observer.expired_calls == 1


async def test_a_deadline_already_past_is_counted_and_never_run_on_the_idle_path() -> None:
    async with bench() as made:
        made.now_s = 1.0
        with pytest.raises(DeadlinePassedError):
            await made.run(1.0, deadline_s=1.0)

    assert made.runner.ran == []
    assert made.observer.expired_calls == 1


async def test_a_cancelled_call_is_not_run() -> None:
    async with held_bench() as (made, gate):
        cancelled = asyncio.ensure_future(made.run(1.0))
        other = asyncio.ensure_future(made.run(2.0))
        await until_queued(made, 2)
        cancelled.cancel()
        gate.open()
        assert await other == [4.0]

    assert made.runner.ran == [[0.0], [2.0]]


async def test_a_full_queue_refuses_with_a_time_to_retry() -> None:
    async with held_bench() as (made, gate):
        waiting = [asyncio.ensure_future(made.run(*[float(at)] * 8)) for at in (1, 2)]
        await until_queued(made, 16)
        with pytest.raises(OverloadedError) as refused:
            await made.run(3.0)
        gate.open()
        await asyncio.gather(*waiting)

    assert refused.value.retry_after_ms >= 1
    assert made.batcher.queued_rows == 0


@pytest.mark.parametrize("inline_s", [INLINE_S, IN_WORKER_S])
async def test_invalid_values_fail_only_their_own_caller(inline_s: float) -> None:
    async with bench(limits=HURRIED, inline_s=inline_s) as made:
        made.coming.accept()
        made.coming.accept()
        calls = [asyncio.ensure_future(made.run(value)) for value in (1.0, POISON, 2.0)]
        good, bad, also_good = await asyncio.gather(*calls, return_exceptions=True)

    assert (good, also_good) == ([2.0], [4.0])
    assert isinstance(bad, InvalidInputError)


class BrokenRunner(DoublingRunner):
    def run(self, inputs: Sequence[NDArray[np.float32]], outputs: tuple[int, ...]) -> Arrays:
        raise ZeroDivisionError


@pytest.mark.parametrize("inline_s", [INLINE_S, IN_WORKER_S])
async def test_a_bug_reaches_every_caller_and_the_next_call_still_runs(inline_s: float) -> None:
    async with bench(BrokenRunner(), limits=HURRIED, inline_s=inline_s) as made:
        made.coming.accept()
        calls = [asyncio.ensure_future(made.run(value)) for value in (1.0, 2.0)]
        errors = await asyncio.gather(*calls, return_exceptions=True)
        with pytest.raises(ZeroDivisionError):
            await made.run(3.0)

    assert [type(error) for error in errors] == [ZeroDivisionError] * 2


class FirstRowOnly(DoublingRunner):
    """A model that returns only one row, whatever its input."""

    def run(self, inputs: Sequence[NDArray[np.float32]], outputs: tuple[int, ...]) -> Arrays:
        return [array[:1] for array in super().run(inputs, outputs)]


async def test_a_run_that_does_not_answer_row_by_row_is_split_up() -> None:
    async with bench(FirstRowOnly(), limits=HURRIED) as made:
        made.coming.accept()
        calls = [asyncio.ensure_future(made.run(value)) for value in (1.0, 2.0)]
        assert await asyncio.gather(*calls) == [[2.0], [4.0]]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=20), st.integers(1, 3))
def test_split_gives_each_caller_exactly_its_rows(rows: list[int], outputs: int) -> None:
    owners = np.repeat(np.arange(len(rows)), rows)

    parts = list(split_rows([owners * (at + 1) for at in range(outputs)], rows))

    assert len(parts) == len(rows)
    for owner, (part, count) in enumerate(zip(parts, rows, strict=True)):
        for at, array in enumerate(part):
            assert array.tolist() == [owner * (at + 1)] * count


@given(
    st.lists(
        st.tuples(st.integers(1, 6), st.sampled_from(["a", "b"]), st.sampled_from([0, 1])),
        min_size=1,
        max_size=30,
    ),
    st.sampled_from([INLINE_S, IN_WORKER_S]),
)
def test_every_caller_gets_its_own_rows_whatever_the_batch(
    callers: list[tuple[int, str, int]], inline_s: float
) -> None:
    async def run_all() -> None:
        limits = BatchLimits(max_batch_rows=8, max_queue_rows=1_000, gather_s=0.001, enough_rows=4)
        async with bench(inline_s=inline_s, limits=limits) as made:
            calls = []
            for at, (rows, key, pause) in enumerate(callers):
                if pause:
                    await asyncio.sleep(0)
                values = [at * 100.0 + row for row in range(rows)]
                calls.append(asyncio.ensure_future(made.run(*values, key=(key,))))
            answers = await asyncio.gather(*calls)
        for at, (answer, (rows, _, _)) in enumerate(zip(answers, callers, strict=True)):
            assert answer == [2 * (at * 100.0 + row) for row in range(rows)]

    asyncio.run(run_all())
