"""Measurement of several loads in turns, so that disturbances of the machine affect all alike."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import psutil

from benchmarks.h2load import Counted, Load, run_h2load
from benchmarks.rows import Effort
from understudy.domain.errors import UnavailableError

WARM_UP_S = 1.0
# Sizes of answers vary by a few bytes (timings are varints); an error has no DATA frame at all.
_LEAST_PART_OF_ANSWER = 0.8


@dataclass(frozen=True, slots=True)
class Batches:
    """The rows answered so far, and in how many batches."""

    rows: int
    batches: int


@dataclass(frozen=True, slots=True)
class Target:
    """A load and the processes that serve it (root pid by name, including its children)."""

    name: str
    load: Load
    processes: Mapping[str, int]
    answer_bytes: int  # size of one good answer, which shows that calls were really answered
    read_batches: Callable[[], Awaitable[Batches]] | None = None
    prepare: Callable[[], Awaitable[None]] | None = None  # called before each load
    may_refuse: bool = False  # refusals are part of the measurement


@dataclass(frozen=True, slots=True)
class Measured:
    counted: Counted
    cpu_us_per_request: Mapping[str, float]
    mean_batch_rows: float | None
    others_cpu_share: float = 0.0  # share of the machine used by unrelated processes


async def alternate(targets: Sequence[Target], effort: Effort) -> dict[str, list[Measured]]:
    """Load each target once per round, backwards in every second one; return the measurements by name.

    Raises:
        UnavailableError: a call failed, or its answer was too small to be a real one.
    """
    for target in targets:
        await _prepare(target)
        _check(target, await run_h2load(target.load, seconds=WARM_UP_S))
    measured: dict[str, list[Measured]] = {target.name: [] for target in targets}
    for turn in range(effort.rounds):
        for target in reversed(targets) if turn % 2 else targets:
            measured[target.name].append(await _measure(target, effort.seconds))
    return measured


async def _prepare(target: Target) -> None:
    if target.prepare is not None:
        await target.prepare()


async def _measure(target: Target, seconds: float) -> Measured:
    await _prepare(target)
    batches_before = await target.read_batches() if target.read_batches else None
    before_s, busy_before_s, own_before_s = _cpu_books(target)
    began_s = time.monotonic()
    counted = await run_h2load(target.load, seconds=seconds)
    elapsed_s = time.monotonic() - began_s
    after_s, busy_after_s, own_after_s = _cpu_books(target)
    batches_after = await target.read_batches() if target.read_batches else None
    _check(target, counted)
    spent_s = {name: total_s - before_s.get(name, 0.0) for name, total_s in after_s.items()}
    others_s = busy_after_s - busy_before_s - sum(spent_s.values()) - (own_after_s - own_before_s)
    return Measured(
        counted,
        {name: each_s / counted.requests * 1e6 for name, each_s in spent_s.items()},
        _mean_rows(batches_before, batches_after),
        max(0.0, others_s / (elapsed_s * (psutil.cpu_count() or 1))),
    )


def _cpu_books(target: Target) -> tuple[dict[str, float], float, float]:
    """Return CPU seconds so far: of the target's processes, of the machine, of us and h2load."""
    times = psutil.cpu_times()
    own = psutil.Process().cpu_times()
    own_s = own.user + own.system + own.children_user + own.children_system
    return cpu_s_by_process(target.processes), times.user + times.nice + times.system, own_s


def _mean_rows(before: Batches | None, after: Batches | None) -> float | None:
    if before is None or after is None:
        return None
    return (after.rows - before.rows) / max(1, after.batches - before.batches)


def median_others_share(measured: Sequence[Measured]) -> float:
    return round(median(each.others_cpu_share for each in measured), 3)


def median_ratio(measured: Sequence[Measured], floor: Sequence[Measured]) -> float:
    """Return the median over rounds of requests/s relative to the floor's in the same round."""
    return median(
        each.counted.requests_per_s / ground.counted.requests_per_s
        for each, ground in zip(measured, floor, strict=True)
    )


def median_latency_s(measured: Sequence[Measured], percent: float) -> float:
    return median(each.counted.latency_s(percent) for each in measured)


def median_rate(measured: Sequence[Measured]) -> float:
    return median(each.counted.requests_per_s for each in measured)


def median_batch_rows(measured: Sequence[Measured]) -> float | None:
    sizes = [each.mean_batch_rows for each in measured if each.mean_batch_rows is not None]
    return round(median(sizes), 2) if sizes else None


def median_cpu_us(measured: Sequence[Measured], *, least_us: float = 1.0) -> dict[str, float]:
    """Return CPU time per request by process, without processes that are nearly idle."""
    names = dict.fromkeys(name for each in measured for name in each.cpu_us_per_request)
    cpu_us = {
        name: median(each.cpu_us_per_request.get(name, 0.0) for each in measured) for name in names
    }
    return {name: round(value, 1) for name, value in cpu_us.items() if value >= least_us}


def cpu_s_by_process(roots: Mapping[str, int]) -> dict[str, float]:
    """Return the CPU seconds of each root and of its descendants (named `root/1`, …)."""
    spent_s: dict[str, float] = {}
    for name, pid in roots.items():
        root = psutil.Process(pid)
        spent_s[name] = _own_cpu_s(root)
        children = sorted(root.children(recursive=True), key=lambda child: child.pid)
        for number, child in enumerate(children, start=1):
            try:
                spent_s[f"{name}/{number}"] = _own_cpu_s(child)
            except psutil.NoSuchProcess:
                continue
    return spent_s


def _own_cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _check(target: Target, counted: Counted) -> None:
    least_bytes = counted.requests * target.answer_bytes * _LEAST_PART_OF_ANSWER
    if target.may_refuse:
        least_bytes = target.answer_bytes
    if counted.failed or not counted.requests or counted.answer_bytes < least_bytes:
        raise UnavailableError(
            target.name,
            f"{counted.failed} of {counted.requests} calls failed over HTTP; answers had "
            f"{counted.answer_bytes} bytes, {least_bytes:.0f} or more were expected "
            "(a gRPC error has no bytes): see the process logs",
        )
