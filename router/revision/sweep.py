"""The periodic look at calls: those that would be late, and those whose scorer is slow.

A router may have a thousand models, few of which have calls at any time, and a look at one takes
microseconds: so it is only taken where there are calls.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

TICK_S = 0.002
_log = structlog.get_logger()


class Swept(Protocol):
    """A live model, as far as the sweep knows it."""

    is_swept: bool  # set by the sweep; a model that takes a call without it asks to be swept

    @property
    def name(self) -> str: ...

    @property
    def has_calls(self) -> bool:
        """Return whether a call waits for its answer, or a scorer still runs one."""
        ...

    @property
    def is_drained(self) -> bool: ...

    def fall_back_if_due(self, now_s: float, *, next_in_s: float) -> None: ...

    def hedge_if_slow(self, now_s: float) -> None: ...

    def close(self) -> None: ...

    def close_at_once(self) -> None: ...

    def addresses(self) -> set[str]: ...


class Sweep:
    """Looks at models with calls each 2 ms, and ends retired ones; sleeps if there are neither."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self.retired: Sequence[Swept] = ()
        self._with_calls: list[Swept] = []
        self._has_work = asyncio.Event()
        self._now_s = now_s

    def begin(self, model: Swept) -> None:
        """Look at `model`, which has a call now, until it has none."""
        model.is_swept = True
        self._with_calls.append(model)
        self._has_work.set()

    def retire(self, model: Swept) -> None:
        """Close `model` as its calls are answered."""
        model.close()
        self.retired = (*self.retired, model)
        self._has_work.set()

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            await self._has_work.wait()
            await asyncio.sleep(TICK_S)
            self._look()
            if not self._with_calls and not self.retired:
                self._has_work.clear()

    def _look(self) -> None:
        now_s = self._now_s()
        for model in self._with_calls:
            try:
                model.fall_back_if_due(now_s, next_in_s=TICK_S)
                model.hedge_if_slow(now_s)
            except Exception:  # noqa: BLE001 - boundary: a bug must not end every deadline's guard
                _log.exception("sweep_failed", model=model.name)
            model.is_swept = model.has_calls
        self._with_calls = [model for model in self._with_calls if model.is_swept]
        for model in self.retired:
            model.close()  # as far as possible by now
        self.retired = [model for model in self.retired if not model.is_drained]
