"""Large calls: counted first, read in parts with turns of other calls in between, refused early."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from router.admission.turns import in_turns
from router.calls.call import Arrival
from router.decisions.priority import Priority
from router.edge.score_batch import BatchReader
from tests.router.samples import MODEL, deployment, spec
from tests.router.world import World, awaited, open_world, two_arms
from understudy.domain.errors import DeadlinePassedError, InvalidInputError, NotFoundError
from understudy.runtime.parsing_in_parts import Parted
from understudy.scoring.v1 import scoring_pb2 as pb

pytestmark = pytest.mark.virtual_time

_FOR_EVER_S = 1e9


class Ticking:
    """A clock on which each look takes a millisecond."""

    def __init__(self) -> None:
        self._ms = 0

    def __call__(self) -> float:
        self._ms += 1
        return self._ms / 1000


async def test_others_have_their_turns_between_the_parts_of_long_work() -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    running = asyncio.ensure_future(other())
    async for _ in in_turns(range(100), Ticking(), until_s=_FOR_EVER_S):
        pass
    running.cancel()

    assert turns >= 25  # a turn takes at most 2 ms of work, which looks at the clock do here


async def test_long_work_ends_at_the_deadline_of_its_caller() -> None:
    done = 0

    async def work() -> None:
        nonlocal done
        async for _ in in_turns(range(100), Ticking(), until_s=0.05):
            done += 1

    with pytest.raises(DeadlinePassedError, match="before the whole call was read"):
        await work()

    assert 20 < done < 50


def batches(world: World, *, most_values: int = 1_000) -> BatchReader:
    return BatchReader(
        world.pipeline.admission, most_values=most_values, now_s=world.pipeline.clocks.monotonic_s
    )


def arrival(world: World, remaining_s: float = 5.0) -> Arrival:
    answer = asyncio.get_running_loop().create_future()
    return Arrival(answer, Priority.BATCH, world.now_s(), remaining_s)


class Parts:
    """Parts with a candidate each; counts those that were read."""

    def __init__(self, *candidates: pb.Candidate) -> None:
        self.candidates = candidates
        self.read = 0

    def parted(self) -> Parted[pb.ScoreBatchRequest]:
        message = pb.ScoreBatchRequest(model=MODEL, candidate_entity="user")
        return Parted(message, len(self.candidates), self._parts())

    def _parts(self) -> Iterator[pb.ScoreBatchRequest]:
        for candidate in self.candidates:
            self.read += 1
            yield pb.ScoreBatchRequest(candidates=[candidate])


UNKNOWN = pb.Candidate(id="u1", features={"unknown": pb.FeatureValue(number=1.0)})
SOUND = pb.Candidate(id="u2", features={"amount": pb.FeatureValue(number=1.0)})


async def test_reading_ends_with_the_twentieth_candidate_if_all_of_them_are_faulty() -> None:
    parts = Parts(*[UNKNOWN] * 500)
    async with open_world() as world:
        await two_arms(world)

        with pytest.raises(InvalidInputError) as refused:
            await batches(world).admit(parts.parted(), arrival(world))

    assert parts.read == 20
    assert len(refused.value.faults) == 20
    assert refused.value.faults[19].field == "candidates[19].features[unknown]"


async def test_faulty_candidates_after_a_sound_one_are_answered_with_their_faults() -> None:
    parts = Parts(SOUND, *[UNKNOWN] * 30)
    async with open_world() as world:
        await two_arms(world)

        call = await batches(world).admit(parts.parted(), arrival(world))

    assert call.candidates is not None
    assert list(call.candidates.ids) == ["u2"]
    assert sorted(call.candidates.refused) == list(range(1, 31))


@pytest.mark.parametrize(
    "ids",
    [
        ["u", "v"],
        ["u" * 127, "v"],
        ["u" * 128, "v"],
        ["u" * 256, "v"],
        ["\u00fc" * 64, "v"],
        ["", "v"],
    ],
)
async def test_one_feature_is_read_beside_ids_of_any_length(ids: list[str]) -> None:
    candidates = [pb.Candidate(id=each) for each in ids]
    candidates[-1].features["amount"].number = 1.0
    part = pb.ScoreBatchRequest(candidates=candidates)
    asked = pb.ScoreBatchRequest(model=MODEL, candidate_entity="user")
    async with open_world() as world:
        await two_arms(world)

        call = await batches(world).admit(Parted(asked, len(ids), iter((part,))), arrival(world))

    assert call.candidates is not None
    assert call.candidates.features is not None
    assert call.candidates.features[-1] == {"amount": 1.0}


async def test_a_feature_without_a_value_is_refused_beside_empty_ids() -> None:
    candidates = [*[pb.Candidate()] * 3, pb.Candidate(id="v")]  # 6 bytes less, and 6 more
    candidates[-1].features[""].SetInParent()
    part = pb.ScoreBatchRequest(candidates=candidates)
    asked = pb.ScoreBatchRequest(model=MODEL, candidate_entity="user")
    async with open_world() as world:
        await two_arms(world)

        with pytest.raises(InvalidInputError, match="no value"):
            await batches(world).admit(Parted(asked, 4, iter((part,))), arrival(world))


async def test_reading_ends_at_the_first_feature_too_many() -> None:
    parts = Parts(*[SOUND] * 100)
    async with open_world() as world:
        await two_arms(world)

        with pytest.raises(InvalidInputError, match=r"candidates\.features: read more than 10;"):
            await batches(world, most_values=10).admit(parts.parted(), arrival(world))

    assert parts.read == 11


async def test_nothing_is_read_for_a_model_that_is_not_deployed_or_a_request_with_faults() -> None:
    parts = Parts(SOUND)
    parted = parts.parted()
    parted.message.candidate_entity = "shop"
    async with open_world() as world:
        await two_arms(world)

        with pytest.raises(InvalidInputError, match="candidate_entity"):
            await batches(world).admit(parted, arrival(world))

    assert parts.read == 0


async def test_a_revision_that_arrives_between_the_parts_checks_and_answers_the_whole_call() -> (
    None
):
    async with open_world() as world:
        await two_arms(world)
        parted = Parts(SOUND, UNKNOWN).parted()

        async def deploy_in_between() -> None:
            await world.deploy(deployment(revision=9), ready={1: ["one"]}, specs=[spec(1)])

        class Deploying:
            def __init__(self) -> None:
                self._parts = iter(list(parted.parts))

            def __iter__(self) -> "Deploying":
                return self

            def __next__(self) -> pb.ScoreBatchRequest:
                part = next(self._parts)
                deploying.append(asyncio.ensure_future(deploy_in_between()))
                return part

        deploying: list[asyncio.Future[None]] = []
        slow = BatchReader(world.pipeline.admission, most_values=10, now_s=Ticking())
        admitting = slow.admit(replace(parted, parts=Deploying()), arrival(world, _FOR_EVER_S))

        call = await admitting

        await asyncio.gather(*deploying)
        assert call.live is world.models.live[MODEL]
        assert call.live.deployment.revision == 9
        assert call.candidates is not None
        assert list(call.candidates.ids) == ["u2"]
        assert sorted(call.candidates.refused) == [1]


async def test_a_part_has_few_candidates_however_small_they_are() -> None:
    request = pb.ScoreBatchRequest(
        model=MODEL, candidate_entity="user", candidates=[pb.Candidate(id="u")] * 4_000
    )
    async with open_world(most_candidates=MANY) as world:
        await two_arms(world)

        parted = batches(world).open(request.SerializeToString())

    assert max(len(part.candidates) for part in parted.parts) <= 128


async def test_live_calls_are_answered_while_the_most_candidates_are_read_and_scored() -> None:
    most = 10_000
    request = pb.ScoreBatchRequest(
        model=MODEL,
        candidate_entity="user",
        candidates=[pb.Candidate(id=f"u{at % 60}", features=SOUND.features) for at in range(most)],
    )
    answered = answered_while_read = 0
    async with open_world(most_candidates=most, most_batch_rows=256) as world:
        await two_arms(world, challengers=())
        reader = BatchReader(world.pipeline.admission, most_values=most, now_s=Ticking())

        async def answer_large() -> bytes:
            nonlocal answered_while_read
            answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
            arrived = Arrival(answer, Priority.BATCH, world.now_s(), 5.0)
            call = await reader.admit(reader.open(request.SerializeToString()), arrived)
            answered_while_read = answered
            call.live.submit(call)
            return await answer

        large = asyncio.ensure_future(answer_large())
        while not large.done():
            await awaited(world.submit("u5"))
            answered += 1

        assert len(pb.ScoreBatchResponse.FromString(await large).results) == most
    assert answered_while_read >= 5  # in 39 turns
    assert answered - answered_while_read >= most // 256


NO_MESSAGE = b"\x0f"  # a wire type that does not exist
MANY = 20_000


async def test_empty_candidates_of_no_model_are_refused_before_they_are_counted() -> None:
    received = pb.ScoreBatchRequest(candidates=[pb.Candidate()] * MANY).SerializeToString()
    async with open_world() as world:
        await two_arms(world)

        with pytest.raises(InvalidInputError) as refused:
            batches(world).open(received + NO_MESSAGE)

    assert [fault.field for fault in refused.value.faults] == [
        f"candidates[{place}].id" for place in range(20)
    ]


async def test_a_large_call_of_a_model_without_a_deployment_is_refused_before_it_is_counted() -> (
    None
):
    request = pb.ScoreBatchRequest(model="strange", candidates=[SOUND] * MANY)
    async with open_world() as world:
        await two_arms(world)

        with pytest.raises(NotFoundError, match="strange"):
            batches(world).open(request.SerializeToString() + NO_MESSAGE)


async def test_the_model_may_come_after_the_candidates() -> None:
    candidates = pb.ScoreBatchRequest(candidates=[SOUND] * 1_000).SerializeToString()
    others = pb.ScoreBatchRequest(model=MODEL, candidate_entity="user").SerializeToString()
    async with open_world() as world:
        await two_arms(world)

        call = await batches(world).admit(batches(world).open(candidates + others), arrival(world))

    assert call.rows == 1_000
