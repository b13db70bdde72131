"""The succession of a registry: the plan by table and property, the act over real files and gRPC."""

import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.decisions.succession import RestoreRequest, Succession, Watched, plan_succession
from tests.registry.operator import Operator, failure_of, report_of, rows_of, running_registry
from understudy.control.report_wire import belief_to_wire
from understudy.control.wire import snapshot_from_wire
from understudy.domain.belief import (
    Refusal,
    RefusalReason,
    WatcherBelief,
    judge,
)
from understudy.domain.changes import (
    Change,
    DeployChampion,
    Ended,
    Revision,
    SetCanary,
    SetThreshold,
)
from understudy.domain.deployments import Deployment
from understudy.domain.errors import InvalidInputError, RefusedError
from understudy.domain.snapshots import Snapshot, Undeployed
from understudy.registry.v1 import registry_pb2 as pb

OURS, LOST = "ours", "lost"
REFUSING = WatcherBelief(LOST, Refusal(RefusalReason.ANOTHER_LINEAGE, OURS, "it is empty"))
MODELS = st.sampled_from(["fraud", "churn", "price"])
NUMBERS = st.integers(1, 5_000)


def deployment(model: str, revision: int) -> Deployment:
    return Deployment(model, revision, champion=1, salt="s")


def planned(
    *current: Revision,
    request: RestoreRequest | None = None,
    beliefs: dict[str, WatcherBelief] | None = None,
    highest_revision: int = 0,
    last_restored: int = 0,
) -> Succession:
    return plan_succession(
        request or RestoreRequest(LOST, 0, ()),
        current,
        Watched({} if beliefs is None else beliefs, highest_revision),
        lineage=OURS,
        last_restored=last_restored,
    )


@given(
    st.dictionaries(MODELS, NUMBERS),
    st.dictionaries(MODELS, NUMBERS),
    st.sets(MODELS),
    st.integers(0, 9_000),
)
def test_watchers_that_report_accept_the_successor_and_no_number_is_reused(
    believed: dict[str, int], current: dict[str, int], ended: set[str], last_restored: int
) -> None:
    in_effect = Snapshot(LOST, 1, tuple(deployment(m, n) for m, n in believed.items()))
    ends = tuple(sorted(ended - current.keys()))

    plan = planned(
        *(deployment(model, number) for model, number in current.items()),
        request=RestoreRequest(LOST, 0, ends),
        beliefs={"router": REFUSING},
        highest_revision=max(believed.values(), default=0),
        last_restored=last_restored,
    )
    successor = Snapshot(
        "new",
        1,
        plan.restored,
        undeployed=tuple(Undeployed(model, plan.revision) for model in plan.ends),
        succeeds=(LOST, OURS),
    )
    judged = judge(in_effect, successor)

    assert isinstance(judged, Snapshot)
    served = {each.model for each in judged.deployments}
    assert served == (believed.keys() | current.keys()) - set(ends)
    assert plan.revision > max(0, last_restored, *believed.values(), *current.values())


def test_an_ended_deployment_stays_ended_under_its_number() -> None:
    plan = planned(Ended(deployment("fraud", 7)), deployment("churn", 3))

    assert plan == Succession(2_000, (deployment("churn", 2_000),), ())


def test_the_number_of_the_operator_counts_too() -> None:
    assert planned(request=RestoreRequest(LOST, 4_321, ())).revision == 6_000


@pytest.mark.parametrize(
    ("beliefs", "successor_of", "match"),
    [
        ({"r": WatcherBelief(OURS)}, LOST, "nothing to restore"),
        ({"r": WatcherBelief(OURS)}, OURS, "nothing to restore"),
        ({"r": REFUSING}, "lots", "they believe lost"),
    ],
)
def test_a_restore_without_effect_is_refused(
    beliefs: dict[str, WatcherBelief], successor_of: str, match: str
) -> None:
    with pytest.raises(RefusedError, match=match):
        planned(request=RestoreRequest(successor_of, 0, ()), beliefs=beliefs)


@pytest.mark.parametrize(
    ("beliefs", "successor_of"),
    [
        ({}, LOST),
        ({"r": WatcherBelief(None)}, LOST),
        ({"r": WatcherBelief(OURS), "q": REFUSING}, LOST),
        ({"r": replace(REFUSING, lineage=OURS)}, OURS),  # ours is an older copy
    ],
)
def test_a_restore_that_a_watcher_may_need_is_planned(
    beliefs: dict[str, WatcherBelief], successor_of: str
) -> None:
    assert planned(request=RestoreRequest(successor_of, 0, ()), beliefs=beliefs).restored == ()


def test_a_deployed_model_is_not_ended_by_a_restore() -> None:
    with pytest.raises(RefusedError, match="undeploy it"):
        planned(deployment("fraud", 1), request=RestoreRequest(LOST, 0, ("fraud",)))
    with pytest.raises(InvalidInputError, match="ends"):
        planned(request=RestoreRequest(LOST, 0, ("no such name!",)))


async def after(directory: Path, *changes: Change) -> Snapshot:
    async with running_registry(directory) as channel:
        operator = Operator(channel)
        for change in changes:
            await operator.change(change)
        return await state_of(operator)


async def state_of(operator: Operator) -> Snapshot:
    return snapshot_from_wire(await operator.seen(lambda _: True))


async def test_an_older_copy_is_accepted_after_it_succeeded_its_original(seeded: Path) -> None:
    await after(seeded, DeployChampion(1))
    older = Path(shutil.copytree(seeded, seeded.with_name("older")))
    in_effect = await after(seeded, SetCanary(2, 1_000))

    async with running_registry(older) as channel:
        operator = Operator(channel)
        assert isinstance(judge(in_effect, await state_of(operator)), Refusal)
        planned_only = await operator.restore(in_effect.lineage, dry_run=True)
        assert isinstance(judge(in_effect, await state_of(operator)), Refusal)

        made = await operator.restore(in_effect.lineage)

        restored = await state_of(operator)
        again = await operator.change(SetThreshold(0.7))
        audit = await operator.audit()

    accepted = judge(in_effect, restored)
    assert accepted == restored
    assert restored.lineage == made.lineage != planned_only.lineage == in_effect.lineage
    assert [each.revision for each in restored.deployments] == [2_000]
    assert (planned_only.applied, made.applied) == (False, True)
    assert audit.chain_intact, audit.faults
    assert [each.action for each in audit.entries[-3:-1]] == [pb.ACTION_RESTORE] * 2
    assert again.revision == 2_001
    assert isinstance(judge(restored, await after(seeded)), Refusal), "the original came back"


async def test_a_refused_registry_takes_no_number_that_its_watchers_know(seeded: Path) -> None:
    served = [
        pb.RouterModelState(model="fraud", revision=18, champion=1),
        pb.RouterModelState(model="odd", revision=1 << 31),  # would use up the numbers
    ]
    refusing = belief_to_wire(REFUSING)
    async with running_registry(seeded) as channel:
        operator = Operator(channel)
        first = await operator.change(DeployChampion(1))
        report = pb.ReportRouterRequest(router_id="r", models=served, belief=refusing)
        await operator.stub.ReportRouter(report)
        planned_only = await operator.change(SetThreshold(0.7), dry_run=True)
        second = await operator.change(SetThreshold(0.7))
        third = await operator.change(SetThreshold(0.6))
        restored = await operator.restore(LOST)

    assert [each.revision for each in (first, planned_only, second, third)] == [1, 2000, 2000, 2001]
    assert restored.revision == 4_000


async def test_a_report_of_an_impossible_number_is_refused(operator: Operator) -> None:
    state = pb.RouterModelState(model="fraud", revision=1 << 53)
    report = pb.ReportRouterRequest(router_id="r", models=[state])

    error = await failure_of(operator.stub.ReportRouter(report))

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "models[0].revision" in str(error.details())


async def test_an_empty_registry_succeeds_and_what_it_lacks_stays_until_it_ends(
    seeded: Path, tmp_path: Path
) -> None:
    in_effect = await after(seeded, DeployChampion(1), SetThreshold(0.7))

    async with running_registry(tmp_path / "empty") as channel:
        operator = Operator(channel)
        await operator.restore(in_effect.lineage)
        kept = judge(in_effect, await state_of(operator))
        await operator.restore(in_effect.lineage, ends=["fraud"])
        ended = judge(in_effect, await state_of(operator))

    assert isinstance(kept, Snapshot)
    assert kept.deployments == in_effect.deployments
    assert isinstance(ended, Snapshot)
    assert ended.deployments == ()


async def test_a_database_restored_in_place_names_no_scorers_of_its_copy(seeded: Path) -> None:
    async with running_registry(seeded) as channel:
        operator = Operator(channel)
        await operator.change(DeployChampion(1))
        await operator.stub.ReportScorers(await report_of(operator, "gone"))
        await operator.stub.ReportScorers(await report_of(operator, "here", port=9001))
    older = (seeded / "registry.sqlite").read_bytes()
    in_effect = await after(seeded, SetCanary(2, 1_000))
    (seeded / "registry.sqlite").write_bytes(older)  # the same file: no copy by its inode

    async with running_registry(seeded) as channel:
        operator = Operator(channel)
        await operator.stub.ReportScorers(await report_of(operator, "here", port=9001))
        await operator.restore(in_effect.lineage)
        published = await state_of(operator)

    assert [each.host_id for each in published.scorers] == ["here"]
    assert [each.host_id for each in published.hosts] == ["here"]
    assert len(rows_of(seeded, "host_reports")) == 1


async def test_a_restored_history_that_was_edited_is_found(seeded: Path) -> None:
    async with running_registry(seeded) as channel:
        await Operator(channel).restore(LOST)
    with sqlite3.connect(seeded / "registry.sqlite") as database:
        database.execute("DROP TRIGGER lineage_no_update")
        database.execute("UPDATE lineage SET successor_of = 'other' WHERE place = 2")
    database.close()

    async with running_registry(seeded) as channel:
        audit = await Operator(channel).audit()

    assert not audit.chain_intact
    assert any("lineage 2" in fault for fault in audit.faults)


async def test_an_odd_restore_is_refused_by_field(operator: Operator) -> None:
    for field, call in {
        "reason": operator.restore(LOST, reason=""),
        "successor_of": operator.restore(""),
        "revisions_above": operator.restore(LOST, revisions_above=1 << 31),
    }.items():
        error = await failure_of(call)
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert str(error.details()).startswith(field)
