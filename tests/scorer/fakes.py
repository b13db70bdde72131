"""Runners in place of a model, which record their runs and can be blocked."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from understudy.domain.errors import InvalidInputError
from understudy.runtime.front.grpc_server import MAX_MESSAGE_BYTES

POISON = 13.0


class DoublingRunner:
    """Doubles its first input. Rows with `POISON` fail the whole run."""

    def __init__(self, *, before: Callable[[], object] = lambda: None) -> None:
        self.ran: list[list[float]] = []  # first column of each run
        self.threads: list[int] = []
        self._before = before

    def run(self, inputs: Sequence[NDArray[Any]], outputs: tuple[int, ...]) -> list[NDArray[Any]]:
        self._before()
        self.ran.append(inputs[0][:, 0].tolist())
        self.threads.append(threading.get_ident())
        if (inputs[0] == POISON).any():
            raise InvalidInputError.of("inputs", read=POISON, accepted="other values")
        return [inputs[0] * 2 for _ in outputs]


class WideRunner(DoublingRunner):
    """Answers a row with more than a message can contain."""

    def run(self, inputs: Sequence[NDArray[Any]], outputs: tuple[int, ...]) -> list[NDArray[Any]]:
        wide = MAX_MESSAGE_BYTES // 4 + 1 if len(inputs[0]) > 1 else 4
        return [np.zeros((len(inputs[0]), wide), np.float32)]


class Gate:
    """Blocks a worker thread until opened; `entered` is set once a thread waits."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._open = threading.Event()
        self.entered = asyncio.Event()

    def __call__(self) -> None:
        self._loop.call_soon_threadsafe(self.entered.set)
        assert self._open.wait(120), "the gate was never opened"

    def open(self) -> None:
        self._open.set()


class CountingObserver:
    def __init__(self) -> None:
        self.batch_rows: list[int] = []
        self.expired_calls = 0

    def ran(self, *, rows: int, run_s: float) -> None:
        self.batch_rows.append(rows)

    def waited(self, *, queue_s: float) -> None: ...

    def expired(self) -> None:
        self.expired_calls += 1


def column(*values: float) -> NDArray[np.float32]:
    return np.array(values, np.float32).reshape(-1, 1)
