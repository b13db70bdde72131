"""Mirroring, over fakes of the ports: every row is accounted for, and callers are not affected."""

import asyncio
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from structlog.testing import capture_logs

from router.batches.mirrored import reads_the_same
from router.decisions.priority import Priority
from tests.router.fakes import RemoteStore
from tests.router.samples import MODEL, VIEW, deployment, spec
from tests.router.world import World, open_world, two_arms, until
from understudy.domain.deployments import (
    Fallback,
    Rule,
    RuleOperator,
    Shadow,
)
from understudy.domain.versions import DYNAMIC, TensorSpec, VersionRef
from understudy.scoring.v1 import scoring_pb2 as pb

pytestmark = pytest.mark.virtual_time


async def test_mirrored_rows_are_all_accounted_for() -> None:
    async with open_world(mirror_queue_rows=16) as world:
        await two_arms(world, challengers=(), shadows=(Shadow(3, 7_000),))
        shadow = world.scorers["three"]
        shadow.release = asyncio.Event()
        mirror = world.models.mirrors[(MODEL, 3)]

        for index in range(60):
            await world.score(f"u{index}")
        assert mirror.ledger.balances(mirror.in_flight_rows)
        shadow.release.set()
        await until(lambda: not mirror.in_flight_rows)

        ledger = mirror.ledger
        assert ledger.offered == 60
        assert ledger.balances()
        assert ledger.sampled_out > 0
        assert ledger.dropped_queue_full > 0
        rows: Counter[str] = Counter()
        for batch in world.shadow_logs:
            rows[batch.status] += batch.rows
            if batch.shadow_scores is not None:
                assert np.allclose(batch.shadow_scores - batch.scores, 0.002)
        assert rows == {
            "ok": ledger.ok,
            "sampled_out": ledger.sampled_out,
            "queue_full": ledger.dropped_queue_full,
        }


async def test_rows_decided_by_a_rule_or_the_fallback_are_not_mirrored() -> None:
    rule = Rule("large", "amount", RuleOperator.GREATER, 5.0, "review", 1.0)
    async with open_world() as world:
        await two_arms(
            world,
            challengers=(),
            shadows=(Shadow(3, 10_000),),
            rules=(rule,),
            fallback=Fallback(version=2),
        )
        mirror = world.models.mirrors[(MODEL, 3)]

        for index in (1, 2, 6, 7):
            await world.score(f"u{index}")
        await world.score_batch(["u1", "u9"])
        world.scorers["one"].failing = True
        fell = await world.score("u3")
        await until(lambda: not mirror.in_flight_rows)

        assert fell.served_by.version == 2
        assert mirror.ledger.offered == mirror.ledger.ok == 2
        mirrored = [name for batch in world.shadow_logs for name in batch.request_ids]
        assert sorted(mirrored) == ["r-u1", "r-u2"]


async def test_answers_of_a_challenger_are_mirrored_and_name_it() -> None:
    async with open_world() as world:
        await two_arms(world, shadows=(Shadow(3, 10_000),))
        mirror = world.models.mirrors[(MODEL, 3)]

        answers = {f"r-u{index}": await world.score(f"u{index}") for index in range(20)}
        await until(lambda: not mirror.in_flight_rows)

        mirrored = {
            request_id: (batch.version, batch.arm, score)
            for batch in world.shadow_logs
            for request_id, score in zip(batch.request_ids, batch.scores.tolist(), strict=True)
        }
        arms = {pb.ARM_CHAMPION: "champion", pb.ARM_CHALLENGER: "challenger"}
        assert mirrored == {
            request_id: (each.served_by.version, arms[each.served_by.arm], each.score)
            for request_id, each in answers.items()
        }
        assert {version for version, _, _ in mirrored.values()} == {1, 2}


async def test_a_failing_shadow_is_counted_and_harmless() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=(), shadows=(Shadow(3, 10_000),))
        world.scorers["three"].failing = True
        mirror = world.models.mirrors[(MODEL, 3)]

        answers = [await world.score(f"u{index}") for index in range(10)]
        await until(lambda: not mirror.in_flight_rows)

        assert all(a.degradation.level == pb.DEGRADATION_LEVEL_FULL for a in answers)
        assert mirror.ledger.error == 10
        assert {batch.status for batch in world.shadow_logs} == {"error"}


async def test_a_shadow_is_shed_before_live_work_is_refused() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=(), shadows=(Shadow(3, 10_000),))
        mirror = world.models.mirrors[(MODEL, 3)]
        room = world.gate.limit.mirror_threshold()
        for outstanding_rows in (room, room + 1):
            world.gate.enter(outstanding_rows - world.gate.outstanding_rows, Priority.LIVE)
            await world.score("u1")
        await until(lambda: mirror.ledger.offered == 2 and not mirror.in_flight_rows)

        assert (mirror.ledger.ok, mirror.ledger.dropped_queue_full) == (1, 1)
        for priority in reversed(
            Priority
        ):  # the lowest priority of callers' work is still admitted
            world.gate.enter(1, priority)


async def test_a_stop_ends_a_mirror_at_its_limit_and_tells_the_rows_that_it_did_not_send() -> None:
    an_hour_s, limit_s = 3_600.0, 2.0
    async with open_world(mirror_timeout_s=an_hour_s, mirror_batch_rows=8) as world:
        await two_arms(world, challengers=(), shadows=(Shadow(3, 10_000),))
        shadow = world.scorers["three"]
        shadow.release = asyncio.Event()
        mirror = world.models.mirrors[(MODEL, 3)]
        for index in range(20):
            await world.score(f"u{index}")
        await shadow.entered.wait()
        asked_rows = mirror.in_flight_rows - mirror.queued_rows

        with capture_logs() as lines:
            world.models.close(mirrors_within_s=limit_s)
            closed_s = world.now_s()
            await until(lambda: any(each["event"] == "mirror_not_finished" for each in lines))

        assert world.now_s() - closed_s < limit_s + 0.1
        ledger = mirror.ledger
        assert (ledger.timeout, ledger.dropped_at_stop) == (asked_rows, 20 - asked_rows)
        assert ledger.balances()
        logged: Counter[str] = Counter()
        for batch in world.shadow_logs:
            logged[batch.status] += batch.rows
        assert logged == {"timeout": asked_rows, "at_stop": 20 - asked_rows}
        (line,) = [each for each in lines if each["event"] == "mirror_not_finished"]
        assert line["dropped_rows"] == ledger.dropped_at_stop > 0


async def test_a_shadows_channel_stays_open_while_a_call_is_in_flight() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=(), shadows=(Shadow(3, 10_000),))
        shadow = world.scorers["three"]
        shadow.release = asyncio.Event()
        mirror = world.models.mirrors[(MODEL, 3)]
        await world.score("u1")
        await shadow.entered.wait()

        without = {1: ["one"]}
        specs = [spec(1), spec(3)]
        with_shadow = deployment(shadows=(Shadow(3, 10_000),))
        await world.deploy(with_shadow, ready=without, specs=specs)
        closed_under_the_call = shadow.is_closed
        shadow.release.set()
        await until(lambda: not mirror.in_flight_rows)
        await world.deploy(replace(with_shadow, revision=2), ready=without, specs=specs)

        assert not closed_under_the_call
        assert shadow.is_closed, "it is no longer used"
        assert mirror.ledger.ok == 1


OTHER = replace(VIEW, name="spending")


async def with_a_shadow_of_other_features(world: World, store: RemoteStore) -> None:
    for index in range(10):
        for view in (VIEW, OTHER):
            store.put(view, f"u{index}", {"amount": float(index), "count": 1.0})
    await world.deploy(
        deployment(shadows=(Shadow(3, 10_000),)),
        ready={1: ["one"], 3: ["three"]},
        specs=[spec(1), spec(3, view=OTHER)],
    )


async def test_a_shadow_reads_its_features_in_its_own_time() -> None:
    store = RemoteStore()
    async with open_world(read_from=store) as world:
        await with_a_shadow_of_other_features(world, store)

        await world.score("u7", remaining_s=0.05)
        await until(lambda: world.shadow_logs)

        for_caller_s, for_shadow_s = store.given_s
        assert for_caller_s < 0.05
        assert for_shadow_s > 0.05
        (scores,) = [batch.shadow_scores for batch in world.shadow_logs]
        assert scores is not None
        assert scores.tolist() == [70.003]


async def test_a_shadow_whose_reads_fail_leaves_the_store_to_live_calls() -> None:
    store = RemoteStore()
    async with open_world(read_from=store, feature_slow_s=0.02, cool_down_s=60.0) as world:
        await with_a_shadow_of_other_features(world, store)
        mirror = world.models.mirrors[(MODEL, 3)]
        store.hanging_views.add(OTHER.name)

        levels = []
        while not mirror.is_feature_breaker_open:
            levels.append((await world.score("u7")).degradation.level)
            await until(lambda: not mirror.in_flight_rows)
        levels.append((await world.score("u7")).degradation.level)

        assert set(levels) == {pb.DEGRADATION_LEVEL_FULL}


async def test_a_shadow_does_not_score_defaults() -> None:
    store = RemoteStore()
    async with open_world(read_from=store) as world:
        await with_a_shadow_of_other_features(world, store)

        await world.score("u7")
        store.failing = True
        await until(lambda: world.shadow_logs)

        assert world.shadow_logs[0].status == "error"
        assert not world.scorers["three"].batches


def test_a_shadow_with_exchanged_inputs_assembles_its_own_tensors() -> None:
    """Equal shapes are not equal columns: several inputs take columns by name or declaration."""
    inputs = tuple(TensorSpec(name, "FP32", (DYNAMIC, 1)) for name in ("amount", "count"))
    champion = replace(spec(1), inputs=inputs)
    declared = replace(champion, column_inputs=("count", "amount"))

    assert reads_the_same(replace(champion, ref=VersionRef(MODEL, 2)), champion)
    assert not reads_the_same(replace(champion, inputs=inputs[::-1]), champion)
    assert not reads_the_same(declared, champion)
    assert reads_the_same(replace(spec(1), inputs=(replace(spec(1).inputs[0], name="y"),)), spec(1))
