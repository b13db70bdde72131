"""Kill and hang of each kind of process under load; counted, without and with a fallback.

docs/reference/faults.md has the counts of one run. A call counts as failed if its caller got an
error: callers have 5 s, on 8 connections, and repeat nothing that gRPC does not repeat itself. The
scorer's place counts as back when its process is another one and a hundred calls in a row are
answered by the model.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil
import pytest

from stack.processes import REGISTRY, ROUTER, SCORERS
from stack.traffic import Traffic, open_traffic
from stack.up import stay
from tests.stack.deployed import Deployed, open_deployed
from tests.stack.waiting import until
from understudy.domain.changes import SetFallback
from understudy.domain.deployments import Fallback
from understudy.domain.errors import UnavailableError

pytestmark = [pytest.mark.fault, pytest.mark.long, pytest.mark.timeout(1800)]
CALLS = 100
HANG_CALLS = 2_000  # as many as come in 20 s, in which a process that hangs is noticed
PidOf = Callable[[Deployed], int]


def worker_pid(deployed: Deployed) -> int:
    router = psutil.Process(deployed.stack.supervisor.pids()[ROUTER])
    return min(child.pid for child in router.children())


def scorer_pid(deployed: Deployed) -> int:
    host = psutil.Process(deployed.stack.supervisor.pids()[SCORERS])
    return min(child.pid for child in host.children())


def supervised(name: str) -> PidOf:
    return lambda deployed: deployed.stack.supervisor.pids()[name]


KINDS: dict[str, PidOf] = {
    "router worker": worker_pid,
    "router parent": supervised(ROUTER),
    "scorer": scorer_pid,
    "scorer host": supervised(SCORERS),
    "registry": supervised(REGISTRY),
}
SERVE_BY_CHILDREN = {KINDS["scorer host"]}
SIGNALS = {"killed": signal.SIGKILL, "hangs": signal.SIGSTOP}


@dataclass(frozen=True, slots=True)
class Counted:
    """The calls from a fault until the process was replaced and answers were full again."""

    calls: int
    failed: int
    failures: frozenset[str]
    fell_back: int


@asynccontextmanager
async def supervision(deployed: Deployed) -> AsyncIterator[None]:
    """Restart processes of the stack as `understudy up` does."""
    staying = asyncio.ensure_future(stay(deployed.stack))
    try:
        yield
    finally:
        staying.cancel()
        await asyncio.gather(staying, return_exceptions=True)


async def count(deployed: Deployed, traffic: Traffic, pid_of: PidOf, number: int) -> Counted:
    before = pid_of(deployed)
    calls, failed = len(traffic.calls), len(traffic.failures)
    os.kill(before, number)
    if number is signal.SIGSTOP and pid_of in SERVE_BY_CHILDREN:  # left alone: it is told instead
        await traffic.until_ended(traffic.ended + HANG_CALLS)
        os.kill(before, signal.SIGCONT)
        return _counted(traffic, calls, failed)

    async def is_replaced() -> bool:
        try:
            return pid_of(deployed) != before
        except (KeyError, ValueError, psutil.NoSuchProcess):  # it is being replaced
            return False

    async def is_ready() -> bool:
        try:
            return bool(deployed.registry.get_status().deployments)
        except UnavailableError:
            return False

    await until(is_replaced)
    await until(is_ready)  # the registry, which traffic does not need
    answered, failed_before = len(traffic.calls), -1
    while failed_before != len(traffic.failures) or not _are_full(traffic, since=answered):
        answered, failed_before = len(traffic.calls), len(traffic.failures)
        await until(partial(_has, traffic, answered + CALLS))
    return _counted(traffic, calls, failed)


def _counted(traffic: Traffic, calls: int, failed: int) -> Counted:
    """Count since there were so many answered and failed calls."""
    since, failures = traffic.calls[calls:], traffic.failures[failed:]
    return Counted(
        len(since),
        len(failures),
        frozenset(text.partition(":")[0] for text in failures),
        sum(call.level in {2, 3} for call in since),
    )


def _are_full(traffic: Traffic, *, since: int) -> bool:
    return {call.level for call in traffic.calls[since:]} == {0}


async def _has(traffic: Traffic, calls: int) -> bool:
    return len(traffic.calls) >= calls


async def test_each_kind_of_process_is_replaced_and_its_faults_fail_few_calls(
    tmp_path: Path,
) -> None:
    found: dict[tuple[str, str, str], Counted] = {}
    async with open_deployed(tmp_path / "s", versions=1) as deployed, supervision(deployed):
        for declared in ("without", "with"):
            if declared == "with":
                await deployed.operator.until_settled(
                    await deployed.operator.change(
                        SetFallback(Fallback(constant_score=0.37)), reason="answer at all times"
                    )
                )
            for kind, pid_of in KINDS.items():
                for fault, number in SIGNALS.items():
                    async with open_traffic(
                        deployed.stack.addresses.router,
                        model="cancer",
                        entity="patient",
                        units=deployed.units,
                        rate_per_s=100,
                    ) as traffic:
                        await traffic.until_ended(CALLS)
                        counted = await count(deployed, traffic, pid_of, number)
                    found[kind, fault, declared] = counted
                    print(kind, fault, declared, counted, flush=True)  # noqa: T201 - the counts

    for (kind, fault, declared), counted in found.items():
        others_answer = (
            kind in {"registry", "router parent"}
            or (fault == "hangs" and KINDS[kind] in SERVE_BY_CHILDREN)
            or (declared == "with" and kind in {"scorer", "scorer host"})
        )
        assert not (others_answer and counted.failed), (kind, fault, declared, counted)
