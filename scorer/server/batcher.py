"""Natural batching: calls that arrive together run together; a lone call never waits."""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from scorer.decisions.gathering import Gathering
from scorer.decisions.run_place import RunPlace
from scorer.server.coming_calls import ComingCalls
from scorer.server.request_reader import ReadRequest
from understudy.domain.errors import DeadlinePassedError, OverloadedError, UnderstudyError

Arrays = list[NDArray[Any]]


class Runner(Protocol):
    """The executor of a batch: `OnnxModel`, or a fake."""

    def run(self, inputs: Sequence[NDArray[Any]], outputs: tuple[int, ...]) -> Arrays: ...


class BatchObserver(Protocol):
    """An observer of batches, for metrics."""

    def ran(self, *, rows: int, run_s: float) -> None: ...
    def waited(self, *, queue_s: float) -> None: ...
    def expired(self) -> None: ...


@dataclass(frozen=True, slots=True)
class BatchLimits:
    max_batch_rows: int
    max_queue_rows: int
    gather_s: float  # longest wait for other calls; 0 for none
    enough_rows: int  # rows that do not wait: an additional run would cost little in comparison


@dataclass(slots=True)
class _Queued:
    request: ReadRequest
    deadline_s: float | None
    queued_at_s: float
    answer: "asyncio.Future[Arrays]"


class Batcher:
    """Executes one run at a time. Owns its worker thread and must be closed.

    `coming` counts the ModelInfer calls that the server has accepted and not yet handed to `run`;
    requests on streams are not anticipated.
    """

    def __init__(
        self,
        runner: Runner,
        limits: BatchLimits,
        *,
        observer: BatchObserver,
        coming: ComingCalls,
        place: RunPlace,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._runner = runner
        self._limits = limits
        self._observer = observer
        self._coming = coming
        self._loop = asyncio.get_running_loop()
        self._now_s = now_s
        self._groups: OrderedDict[tuple[object, ...], deque[_Queued]] = OrderedDict()
        self._queued_calls = 0
        self._queued_rows = 0
        self._gathering = Gathering()
        self._gather_timer: asyncio.TimerHandle | None = None
        self._next_run: asyncio.Handle | None = None
        self._running: asyncio.Future[None] | None = None
        self._place = place
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="onnx-run")

    @property
    def queued_rows(self) -> int:
        return self._queued_rows

    async def run(self, request: ReadRequest, *, deadline_s: float | None) -> Arrays:
        """Return the outputs of `request`: exactly its rows.

        Args:
            request: calls with equal join keys may share a run.
            deadline_s: on the batcher's clock; after it the request is never run.

        Raises:
            DeadlinePassedError: the deadline passed before the run.
            OverloadedError: the queue is full.
            InvalidInputError: the model cannot compute these values.
        """
        arrays = self.run_at_once(request, deadline_s=deadline_s)
        if arrays is not None:
            return arrays
        queued = self._enqueue(request, deadline_s)
        self._run_or_gather()
        return await queued.answer

    def run_at_once(self, request: ReadRequest, *, deadline_s: float | None) -> Arrays | None:
        """Return the result of `run` if the run is short and no other call is here, else None.

        The idle path: no future, no task, no thread.

        Raises:
            DeadlinePassedError, InvalidInputError: as in `run`.
        """
        is_idle = self._running is None and not self._queued_calls
        if not is_idle or not self._gathering.is_alone:
            return None
        if self._coming() > 0:
            self._gathering = self._gathering.crowd_seen()
            return None
        if not self._place.is_inline(request.rows):
            return None
        self._refuse_late(deadline_s)
        return self._run_inline(request)

    async def close(self) -> None:
        """Wait for the run in progress. Call it once no call is in flight."""
        if self._gather_timer is not None:
            self._gather_timer.cancel()
        if self._next_run is not None:  # all its callers have given up
            self._next_run.cancel()
        if self._running is not None:
            await asyncio.wait([self._running])
        self._worker.shutdown(wait=True)

    def _refuse_late(self, deadline_s: float | None) -> None:
        if deadline_s is not None and self._now_s() >= deadline_s:
            self._observer.expired()
            raise DeadlinePassedError("run")

    def _run_inline(self, request: ReadRequest) -> Arrays:
        started_s = self._now_s()
        outputs = self._runner.run(request.inputs, request.outputs)
        self._record(request.rows, self._now_s() - started_s)
        self._observer.waited(queue_s=0.0)
        return outputs

    def _record(self, rows: int, run_s: float) -> None:
        self._place.record(rows, run_s)
        self._observer.ran(rows=rows, run_s=run_s)

    def _enqueue(self, request: ReadRequest, deadline_s: float | None) -> _Queued:
        queued_rows = self._queued_rows + request.rows
        if self._queued_calls and queued_rows > self._limits.max_queue_rows:
            retry_after_ms = self._place.expected_s(self._queued_rows) * 1000
            raise OverloadedError("scorer queue", retry_after_ms=max(1, round(retry_after_ms)))
        queued = _Queued(request, deadline_s, self._now_s(), self._loop.create_future())
        self._groups.setdefault(request.join_key, deque()).append(queued)
        self._queued_rows = queued_rows
        self._queued_calls += 1
        return queued

    def _run_or_gather(self) -> None:
        if self._running is not None or self._next_run is not None:
            return  # the end of that run starts the next
        complete = self._gathering.is_complete(
            queued_calls=self._queued_calls, coming_calls=self._coming()
        )
        enough = self._queued_rows >= self._limits.enough_rows
        if complete or enough or not self._limits.gather_s:
            self._run_next()
        elif self._gather_timer is None:
            self._gather_timer = self._loop.call_later(self._limits.gather_s, self._gathered_enough)

    def _gathered_enough(self) -> None:
        self._coming.forget()
        self._run_next()

    def _run_next(self) -> None:
        if self._gather_timer is not None:
            self._gather_timer.cancel()
            self._gather_timer = None
        self._gathering = self._gathering.gathered(self._queued_calls)
        self._run_queued()

    def _run_queued(self) -> None:
        """Run one batch; the next one runs in a later turn of the loop.

        In between, answers are sent and health checks are served.
        """
        self._next_run = None
        batch: list[_Queued] = []
        while self._queued_calls and not batch:
            batch = self._take_batch()
        if not batch:
            return
        if self._place.is_inline(sum(queued.request.rows for queued in batch)):
            self._run_batch(batch)
            if self._queued_calls:
                self._next_run = self._loop.call_soon(self._run_queued)
        else:
            self._running = asyncio.ensure_future(self._run_in_worker(batch))

    def _take_batch(self) -> list[_Queued]:
        """Take the longest waiting group, up to the row limit, without cancelled calls."""
        key, group = next(iter(self._groups.items()))
        batch: list[_Queued] = []
        rows = 0
        while group:
            size = group[0].request.rows
            if batch and (not key or rows + size > self._limits.max_batch_rows):
                break
            queued = group.popleft()
            self._queued_calls -= 1
            self._queued_rows -= size
            if self._is_wanted(queued):
                batch.append(queued)
                rows += size
        if group:
            self._groups.move_to_end(key)  # so that other groups do not starve
        else:
            del self._groups[key]
        return batch

    def _is_wanted(self, queued: _Queued) -> bool:
        if queued.answer.done():  # its caller cancelled
            return False
        now_s = self._now_s()
        if queued.deadline_s is not None and now_s >= queued.deadline_s:
            self._observer.expired()
            queued.answer.set_exception(DeadlinePassedError("run"))
            return False
        self._observer.waited(queue_s=now_s - queued.queued_at_s)
        return True

    def _run_batch(self, batch: list[_Queued]) -> None:
        started_s = self._now_s()
        try:
            outcomes = _compute(self._runner, [queued.request for queued in batch])
        except Exception as error:  # noqa: BLE001 - a bug of ours belongs to all of its callers
            outcomes = [error] * len(batch)
        self._finish(batch, outcomes, self._now_s() - started_s)

    async def _run_in_worker(self, batch: list[_Queued]) -> None:
        started_s = self._now_s()
        requests = [queued.request for queued in batch]
        outcomes: list[Arrays | Exception]
        try:
            outcomes = await self._loop.run_in_executor(
                self._worker, _compute, self._runner, requests
            )
        except Exception as error:  # noqa: BLE001 - a bug of ours belongs to all of its callers
            outcomes = [error] * len(batch)
        self._running = None
        self._finish(batch, outcomes, self._now_s() - started_s)
        if self._queued_calls:
            self._run_next()

    def _finish(
        self, batch: list[_Queued], outcomes: Sequence[Arrays | Exception], run_s: float
    ) -> None:
        self._record(sum(queued.request.rows for queued in batch), run_s)
        for queued, outcome in zip(batch, outcomes, strict=True):
            if queued.answer.done():  # its caller cancelled meanwhile
                continue
            if isinstance(outcome, Exception):
                queued.answer.set_exception(outcome)
            else:
                queued.answer.set_result(outcome)


def _compute(runner: Runner, requests: Sequence[ReadRequest]) -> list[Arrays | Exception]:
    """Return the outputs or the failure of each request, from a single run if possible."""
    first = requests[0]
    if len(requests) == 1:
        try:
            return [runner.run(first.inputs, first.outputs)]
        except UnderstudyError as error:
            return [error]
    joined = [
        np.concatenate([request.inputs[at] for request in requests])
        for at in range(len(first.inputs))
    ]
    rows = [request.rows for request in requests]
    try:
        outputs = runner.run(joined, first.outputs)
    except UnderstudyError:
        outputs = []
    if outputs and all(array.shape[:1] == (sum(rows),) for array in outputs):
        return [*split_rows(outputs, rows)]
    # The values of one request spoil the run of all, or the model does not answer row by row.
    return [_compute(runner, [request])[0] for request in requests]


def split_rows(outputs: Arrays, rows: Sequence[int]) -> Iterator[Arrays]:
    """Yield, for each request in order, its rows of `outputs`."""
    start = 0
    for count in rows:
        end = start + count
        yield [array[start:end] for array in outputs]
        start = end
