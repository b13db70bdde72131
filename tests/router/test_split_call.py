"""A large call in parts: the same answer as in one piece, and single calls in between."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.calls.call import Candidates
from router.decisions.priority import Priority
from router.lanes.split_call import split_call
from tests.router.builders import bare_call
from tests.router.samples import as_champion
from tests.router.world import World, awaited, open_world, two_arms, until
from tests.virtual_time import run_on_virtual_time, skip
from understudy.domain.deployments import Challenger, Fallback
from understudy.domain.errors import UnavailableError
from understudy.scoring.v1 import scoring_pb2 as pb

pytestmark = pytest.mark.virtual_time


class Joined:
    """Joins bytes, and keeps the places of the parts in the order in which they came."""

    def __init__(self, parts: int, candidates: Candidates) -> None:
        self._parts = [b""] * parts
        self.added: list[int] = []

    def add(self, place: int, answer: bytes) -> None:
        self._parts[place] = answer
        self.added.append(place)

    def whole(self) -> bytes:
        return b",".join(self._parts)


async def answered(
    ids: Sequence[str], *, most_batch_rows: int, top_k: int | None, is_sorted: bool
) -> pb.ScoreBatchResponse:
    async with open_world(most_batch_rows=most_batch_rows) as world:
        await two_arms(world, challengers=())
        world.scorers["one"].answers_inf_for = 7.0
        answer = await world.score_batch(
            ids, top_k=top_k, is_sorted=is_sorted, threshold=50.0, outputs=("score",)
        )
        assert max(world.scorers["one"].batches) <= most_batch_rows
        assert sum(batch.rows for batch in world.score_logs) == sum(map(bool, ids))
        answer.ClearField("timing")
        return answer


@given(
    ids=st.lists(
        st.sampled_from(["", "nobody", *(f"u{index}" for index in range(12))]),
        min_size=9,
        max_size=40,
    ).filter(any),
    top_k=st.none() | st.integers(1, 12),
    is_sorted=st.booleans(),
)
def test_parts_are_answered_like_the_whole(
    ids: list[str], top_k: int | None, *, is_sorted: bool
) -> None:
    async def scenario() -> None:
        whole = await answered(ids, most_batch_rows=1_000, top_k=top_k, is_sorted=is_sorted)
        parts = await answered(ids, most_batch_rows=8, top_k=top_k, is_sorted=is_sorted)
        for each in (whole, parts):
            each.degradation.reasons.sort()
        assert parts == whole

    run_on_virtual_time(scenario())


async def large_call(world: World, rows: int) -> asyncio.Task[pb.ScoreBatchResponse]:
    calls = asyncio.ensure_future(world.score_batch([f"u{index % 60}" for index in range(rows)]))
    await world.scorers["one"].entered.wait()
    return calls


async def test_single_calls_go_before_the_next_part_and_without_it() -> None:
    async with open_world(most_batch_rows=8) as world:
        await two_arms(world, challengers=())
        scorer = world.scorers["one"]
        scorer.release = asyncio.Event()
        large = await large_call(world, 40)
        live = world.submit("u5")
        scorer.release.set()

        await awaited(live)

        assert not large.done()
        assert scorer.batches == [4, 1]
        assert len((await large).results) == 40
        assert scorer.batches == [4, 1, *[4] * 9]


async def test_live_calls_are_answered_between_all_parts_of_a_large_call() -> None:
    async with open_world(most_batch_rows=8) as world:
        await two_arms(world, challengers=())
        batches = world.scorers["one"].batches
        large = await large_call(world, 400)
        waited: list[int] = []  # batches, of each live call

        while not large.done():
            before = len(batches)
            await awaited(world.submit("u5"))
            waited.append(len(batches) - before)

        assert max(waited) <= 2  # the one in flight, and its own
        assert len(waited) >= 400 // 8
        assert len(large.result().results) == 400


async def test_a_failing_part_ends_the_call_and_the_rest_is_not_run() -> None:
    async with open_world(most_batch_rows=8) as world:
        await two_arms(world, challengers=())
        scorer = world.scorers["one"]
        scorer.failing = True

        with pytest.raises(UnavailableError):
            await world.score_batch([f"u{index}" for index in range(40)])
        await until(
            lambda: not any(p.in_flight for p in world.live().lanes[as_champion(1)].pullers)
        )

        assert len(scorer.batches) == 1


async def test_a_call_whose_parts_have_different_answerers_is_repeated_as_a_whole() -> None:
    async with open_world(most_batch_rows=8) as world:
        await two_arms(world, challengers=(), fallback=Fallback(constant_score=0.25))
        world.scorers["one"].fails_after = 2

        answer = await world.score_batch([f"u{index}" for index in range(16)])

        assert [result.score for result in answer.results] == [0.25] * 16
        assert answer.degradation.level == pb.DEGRADATION_LEVEL_CONSTANT


async def test_a_ranking_comes_from_one_version() -> None:
    async with open_world(most_batch_rows=8) as world:
        await two_arms(world, challengers=(Challenger(2, 9_999),))
        world.scorers["two"].fails_after = 2

        answer = await world.score_batch([f"u{index}" for index in range(24)], is_sorted=True)

        assert {round(result.score % 1, 3) for result in answer.results} == {0.001}
        assert answer.served_by.version == 1


async def test_waiting_for_siblings_does_not_count_as_queueing() -> None:
    async with open_world(most_batch_rows=8) as world:
        await two_arms(world, challengers=())
        before = world.gate.limit
        world.scorers["one"].release = asyncio.Event()
        large = await large_call(world, 40)
        skip(0.9)
        released = world.scorers["one"].release
        assert released is not None
        released.set()
        await large

        assert world.gate.limit is before


async def test_refused_candidates_are_reported_once_and_features_stay_with_their_candidates() -> (
    None
):
    candidates = Candidates(
        entity="user",
        ids=list("abcde"),
        indices=[0, 1, 3, 4, 5],
        features=[{"x": float(place)} for place in range(5)],
        refused={2: ("", None)},  # type: ignore[dict-item]  # the fault is not used
        top_k=None,
        is_sorted=False,
    )
    call = bare_call("r", candidates=candidates, priority=Priority.BATCH)

    parts = split_call(call, 2, Joined, again=lambda _: None)

    own = [part.candidates for part in parts if part.candidates is not None]
    assert [list(each.ids) for each in own] == [["a", "b"], ["c", "d"], ["e"]]
    assert [each.features and each.features[0] for each in own] == [
        {"x": 0.0},
        {"x": 2.0},
        {"x": 4.0},
    ]
    assert [list(each.refused) for each in own] == [[2], [], []]
    for place, part in reversed(list(enumerate(parts))):
        assert not awaited(call).done()
        part.answer.set_result(str(place).encode())
    assert awaited(call).result() == b"0,1,2"


async def test_each_part_is_joined_when_it_arrives_and_the_last_one_joins_no_other() -> None:
    joinings: list[Joined] = []

    def join(parts: int, candidates: Candidates) -> Joined:
        joinings.append(Joined(parts, candidates))
        return joinings[0]

    ids = list("abcdef")
    candidates = Candidates(
        entity="user",
        ids=ids,
        indices=range(len(ids)),
        features=None,
        refused={},
        top_k=2,
        is_sorted=True,
    )
    call = bare_call("r", candidates=candidates, priority=Priority.BATCH)
    parts = split_call(call, 2, join, again=lambda _: None)
    joined: list[list[int]] = []

    for place in (1, 2, 0):
        parts[place].answer.set_result(b"")
        joined.append(list(joinings[0].added))

    assert joined == [[1], [1, 2], [1, 2, 0]]
