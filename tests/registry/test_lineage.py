"""Restarts, copies and restored copies of a registry's directory, as watchers judge them."""

import shutil
import sqlite3
from pathlib import Path

from tests.registry.operator import Operator, report_of, rows_of, running_registry
from understudy.control.wire import snapshot_from_wire
from understudy.domain.belief import Refusal, RefusalReason, judge
from understudy.domain.changes import Change, DeployChampion, SetCanary, SetThreshold, Undeploy
from understudy.domain.snapshots import Snapshot, Undeployed


async def state_after(directory: Path, *changes: Change) -> Snapshot:
    """Start a registry on `directory`, make the changes, and return the state that it publishes."""
    async with running_registry(directory) as channel:
        operator = Operator(channel)
        for change in changes:
            await operator.change(change)
        return snapshot_from_wire(await operator.seen(lambda _: True))


def copied(directory: Path, name: str) -> Path:
    return Path(shutil.copytree(directory, directory.with_name(name)))


async def test_a_restarted_registry_continues_its_history(seeded: Path) -> None:
    before = await state_after(seeded, DeployChampion(1))

    unchanged = await state_after(seeded)
    changed = await state_after(seeded, SetCanary(2, 1_000))

    assert judge(before, unchanged) == unchanged
    assert judge(unchanged, changed) == changed
    assert before.sequence < unchanged.sequence < changed.sequence
    assert changed.epochs[: len(before.epochs)] == before.epochs


async def test_a_moved_directory_continues_its_history(seeded: Path) -> None:
    before = await state_after(seeded, DeployChampion(1))

    moved = await state_after(copied(seeded, "elsewhere"), SetCanary(2, 1_000))

    assert judge(before, moved) == moved


async def test_a_copy_from_before_a_change_is_refused_however_much_it_changes(seeded: Path) -> None:
    await state_after(seeded, DeployChampion(1))
    copy = copied(seeded, "copy")
    in_effect = await state_after(seeded, SetCanary(2, 1_000))

    at_once = judge(in_effect, await state_after(copy))
    later = await state_after(copy, SetThreshold(0.7), SetCanary(2, 2_000), SetThreshold(0.6))

    assert isinstance(at_once, Refusal)
    assert later.sequence > in_effect.sequence
    refusal = judge(in_effect, later)
    assert isinstance(refusal, Refusal)
    assert refusal.reason is RefusalReason.HISTORY_LOST


async def test_of_two_copies_that_went_on_neither_follows_the_other(seeded: Path) -> None:
    await state_after(seeded, DeployChampion(1))
    copy = copied(seeded, "copy")

    ours = await state_after(seeded, SetThreshold(0.7))
    theirs = await state_after(copy, SetThreshold(0.7))

    assert isinstance(judge(ours, theirs), Refusal)
    assert isinstance(judge(theirs, ours), Refusal)


async def test_an_empty_directory_is_another_registry(seeded: Path, tmp_path: Path) -> None:
    in_effect = await state_after(seeded, DeployChampion(1))

    refusal = judge(in_effect, await state_after(tmp_path / "empty"))

    assert isinstance(refusal, Refusal)
    assert refusal.reason is RefusalReason.ANOTHER_LINEAGE


async def test_rows_that_were_lost_end_no_deployment(seeded: Path) -> None:
    in_effect = await state_after(seeded, DeployChampion(1))
    lose_revisions(seeded)

    published = await state_after(seeded)

    kept = judge(in_effect, published)
    assert published.deployments == ()
    assert isinstance(kept, Snapshot)
    assert kept.deployments == in_effect.deployments
    assert kept.versions == in_effect.versions


async def test_an_undeploy_ends_a_deployment_for_watchers(seeded: Path) -> None:
    in_effect = await state_after(seeded, DeployChampion(1))

    published = await state_after(seeded, Undeploy())

    assert published.undeployed == (Undeployed("fraud", 2),)
    assert judge(in_effect, published) == published


async def test_a_restarted_registry_names_scorers_at_once_and_a_copy_does_not(
    seeded: Path,
) -> None:
    async with running_registry(seeded) as channel:
        operator = Operator(channel)
        await operator.change(DeployChampion(1))
        await operator.stub.ReportScorers(await report_of(operator, "host-1"))
    copy = copied(seeded, "copy")

    restarted = await state_after(seeded)
    of_copy = await state_after(copy)

    assert [each.host_id for each in restarted.scorers] == ["host-1"]
    assert of_copy.scorers == ()
    assert rows_of(copy, "host_reports") == []


def lose_revisions(directory: Path) -> None:
    with sqlite3.connect(directory / "registry.sqlite") as database:
        database.execute("DROP TRIGGER revisions_no_delete")
        database.execute("DELETE FROM revisions")
    database.close()
