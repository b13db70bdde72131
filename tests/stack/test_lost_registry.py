"""A registry that is wiped, or restored from an older copy or a backup, while callers score."""

import asyncio
import json
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from registry.cli.commands import app as registry_app
from stack.processes import REGISTRY, ROUTER, SCORERS, registry_process
from stack.router_books import read_books
from stack.traffic import Traffic, open_traffic
from tests.in_process import run_command
from tests.stack.deployed import Deployed, open_deployed
from tests.stack.waiting import until
from understudy.client.async_scoring_client import AsyncScoringClient
from understudy.domain.changes import SetThreshold
from understudy.registry.v1 import registry_pb2 as pb
from understudy.runtime.exit_codes import OK
from understudy.scoring.v1.scoring_pb2 import DEGRADATION_LEVEL_FULL

pytestmark = [pytest.mark.fault, pytest.mark.long]
CALLS = 150
EMPTY = "nothing"


def refused(
    deployed: Deployed, reason: pb.RefusalReason.ValueType
) -> Callable[[], Awaitable[bool]]:
    async def every_worker_refuses() -> bool:
        found = await read_books(deployed.stack.directory.router)
        return {each.refusal.reason for each in found} == {reason}

    return every_worker_refuses


async def with_registry_in(deployed: Deployed, content: str, *, kept_as: str) -> None:
    """Stop the registry, rename its directory to `kept_as`, and start it over `content`."""
    stack = deployed.stack
    await stack.supervisor.stop(REGISTRY)
    exchange(stack.directory.registry, content, kept_as)
    await stack.supervisor.start(registry_process(stack.directory, stack.addresses, stack.access))


def exchange(directory: Path, content: str, kept_as: str) -> None:
    directory.rename(directory.with_name(kept_as))
    if content != EMPTY:
        directory.with_name(content).rename(directory)


async def every_watcher_reports_a_refusal(deployed: Deployed) -> bool:
    status = await asyncio.to_thread(deployed.registry.get_status)
    beliefs = [each.belief for each in status.routers] + [
        each.belief for each in status.host_beliefs
    ]
    return len(beliefs) == 3 and all(each.HasField("refusal") for each in beliefs)


async def restore(deployed: Deployed) -> pb.RestoreRegistryResponse:
    """Restore the registry that runs, under the lineage that its watchers believe."""
    (lineage,) = {e.belief.lineage for e in deployed.registry.get_status().routers}
    request = pb.RestoreRegistryRequest(successor_of=lineage, reason="the disk was lost")
    return await asyncio.to_thread(deployed.registry.restore, request)


async def further_calls(traffic: Traffic) -> None:
    await traffic.until_ended(traffic.ended + CALLS)


@pytest.mark.parametrize("declares", [False, True], ids=["without", "with"])
async def test_a_wiped_or_older_registry_costs_no_call(tmp_path: Path, *, declares: bool) -> None:
    async with open_deployed(tmp_path / "s", versions=1) as deployed:
        stack = deployed.stack
        if declares:
            await deployed.declare_fallback()
        shutil.copytree(stack.directory.registry, stack.directory.registry.with_name("older"))
        revision = await deployed.operator.change(SetThreshold(0.4), reason="after the copy")
        await deployed.operator.until_settled(revision)
        scorer = deployed.scorer(1)
        async with open_traffic(
            stack.addresses.router,
            model="cancer",
            entity="patient",
            units=deployed.units,
            rate_per_s=200,
        ) as traffic:
            await further_calls(traffic)
            await with_registry_in(deployed, EMPTY, kept_as="original")
            await until(refused(deployed, pb.REFUSAL_REASON_ANOTHER_LINEAGE))
            await further_calls(traffic)
            await with_registry_in(deployed, "older", kept_as="wiped")
            await until(refused(deployed, pb.REFUSAL_REASON_HISTORY_LOST))
            await further_calls(traffic)
            await until(lambda: every_watcher_reports_a_refusal(deployed))
            restored = await restore(deployed)
            await deployed.operator.until_settled(restored.revision)
            await further_calls(traffic)
            await deployed.operator.until_settled(await change_after(restored.revision, deployed))
            await further_calls(traffic)

        print(f"{len(traffic.failures)} of {traffic.ended}")  # noqa: T201 - the counts
        assert traffic.failures == []
        assert {call.version for call in traffic.calls} == {1}
        assert {call.level for call in traffic.calls} <= {0, 1}, (
            "a busy machine reads features late"
        )
        assert deployed.scorer(1).pid == scorer.pid


@pytest.mark.parametrize("declares", [False, True], ids=["without", "with"])
async def test_a_destroyed_registry_is_restored_from_a_backup_and_costs_no_call(
    tmp_path: Path, *, declares: bool
) -> None:
    file = tmp_path / "backup.tar"
    async with open_deployed(tmp_path / "s", versions=1) as deployed:
        stack = deployed.stack
        if declares:
            await deployed.declare_fallback()
        scorer = deployed.scorer(1)
        async with open_traffic(
            stack.addresses.router,
            model="cancer",
            entity="patient",
            units=deployed.units,
            rate_per_s=50,
        ) as traffic:
            await further_calls(traffic)
            changes = await backed_up_among_changes(deployed, file)
            lost = await deployed.operator.change(SetThreshold(0.9), reason="after the backup")
            await deployed.operator.until_settled(lost)
            await further_calls(traffic)
            await stack.supervisor.stop(REGISTRY)
            shutil.rmtree(stack.directory.registry)
            await further_calls(traffic)
            restored = await asyncio.to_thread(restored_from, file, stack.directory.registry)
            await stack.supervisor.start(
                registry_process(stack.directory, stack.addresses, stack.access)
            )
            await until(every_worker_believes(deployed, restored["lineage"]))
            await deployed.operator.until_settled(restored["revision"])
            await further_calls(traffic)
            await deployed.operator.until_settled(
                await change_after(restored["revision"], deployed)
            )
            await until(lambda: every_host_believes(deployed, restored["lineage"]))
            await further_calls(traffic)
            verified = await asyncio.to_thread(deployed.registry.verify)

        print(f"{len(traffic.failures)} of {traffic.ended}, {changes} changes")  # noqa: T201 - the counts
        assert traffic.failures == []
        assert {call.version for call in traffic.calls} == {1}
        assert {call.level for call in traffic.calls} <= {0, 1}, (
            "a busy machine reads features late"
        )
        assert deployed.scorer(1).pid == scorer.pid
        assert list(verified.faults) == []


async def backed_up_among_changes(deployed: Deployed, file: Path) -> int:
    """Write a backup while changes go on; return the number of changes."""

    def write() -> None:
        with file.open("wb") as new:
            new.writelines(deployed.registry.backup())

    backup = asyncio.ensure_future(asyncio.to_thread(write))
    changes = 0
    while not (changes and backup.done()):
        changes += 1
        await deployed.operator.change(SetThreshold(0.3 + changes / 1_000), reason="meanwhile")
    await backup
    return changes


def restored_from(file: Path, directory: Path) -> dict[str, Any]:
    words = ("restore", str(file), "--dir", str(directory), "--reason", "the disk was lost")
    done = run_command(registry_app, *words, "--output", "json")
    assert done.exit_code == OK, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def every_worker_believes(deployed: Deployed, lineage: str) -> Callable[[], Awaitable[bool]]:
    async def believes() -> bool:
        found = await read_books(deployed.stack.directory.router)
        return {each.snapshot_lineage for each in found} == {lineage}

    return believes


async def every_host_believes(deployed: Deployed, lineage: str) -> bool:
    status = await asyncio.to_thread(deployed.registry.get_status)
    believed = [each.belief.lineage for each in status.routers]
    believed += [each.belief.lineage for each in status.host_beliefs]
    return len(believed) == 3 and {*believed} == {lineage}


async def change_after(revision: int, deployed: Deployed) -> int:
    """Change something, to show that the restored registry is in use; return the new revision."""
    answer = await asyncio.to_thread(
        deployed.registry.change,
        "cancer",
        SetThreshold(0.6),
        reason="it is in use",
        expect_revision=revision,
    )
    return answer.revision


@pytest.mark.parametrize("declares", [False, True], ids=["without", "with"])
async def test_everything_starts_again_over_a_wiped_registry(
    tmp_path: Path, *, declares: bool
) -> None:
    async with open_deployed(tmp_path / "s", versions=1) as deployed:
        stack = deployed.stack
        if declares:
            await deployed.declare_fallback()
        await with_registry_in(deployed, EMPTY, kept_as="original")
        await stack.supervisor.restart(SCORERS)
        await stack.supervisor.restart(ROUTER)
        levels: list[int] = []
        async with AsyncScoringClient(stack.addresses.router, timeout_s=60.0) as client:

            async def answers_in_full() -> bool:
                answer = await client.score("cancer", {"patient": deployed.units[0]})
                levels.append(answer.degradation.level)
                return levels[-1] == DEGRADATION_LEVEL_FULL

            await until(answers_in_full)
        print(f"{len(levels)} answers, of them {levels.count(DEGRADATION_LEVEL_FULL)} in full")  # noqa: T201
