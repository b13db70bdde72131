"""The last scores for the ladder: bounded in number and age, by model and entities."""

from types import SimpleNamespace

from router.batches.last_scores import LastScores
from router.calls.call import Call
from tests.router.builders import bare_call


def call(user: str, *, model: str = "fraud") -> Call:
    live = SimpleNamespace(deployment=SimpleNamespace(model=model))
    return bare_call("r", live=live, entities={"user": user})


def found(scores: LastScores, *users: str) -> list[float | None]:
    return [scores.find(call(user), max_age_s=10.0, now_s=5.0) for user in users]


async def test_the_oldest_is_dropped_when_there_are_too_many() -> None:
    scores = LastScores(2)
    for index, user in enumerate(("a", "b", "a", "c")):  # the new score of a makes b the oldest
        scores.remember(call(user), float(index), now_s=0.0)

    assert found(scores, "a", "b", "c") == [2.0, None, 3.0]


async def test_a_score_is_found_up_to_its_largest_age_and_not_after() -> None:
    scores = LastScores(2)
    scores.remember(call("a"), 0.5, now_s=100.0)

    assert scores.find(call("a"), max_age_s=10.0, now_s=110.0) == 0.5
    assert scores.find(call("a"), max_age_s=10.0, now_s=110.1) is None


async def test_each_model_has_its_own_scores() -> None:
    scores = LastScores(2)
    scores.remember(call("a"), 0.5, now_s=0.0)

    assert scores.find(call("a", model="churn"), max_age_s=10.0, now_s=0.0) is None
