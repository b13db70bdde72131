"""The champion's value on the new data is computed from its registered artifact."""

from collections.abc import Iterator

import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from tests.registry.operator import served_registry
from tests.train.repository import AUTHOR, Repository, describe, make_repository, numbers, rows_of
from understudy.control.client import RegistryClient
from understudy.domain.changes import DeployChampion
from understudy.domain.errors import InvalidInputError, RefusedError
from understudy.train.run import GIVEN_SCORES

TWO = ("user@1:visits", "user@1:amount")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return make_repository(tmp_path_factory.mktemp("author"), numbers(default=0.0))


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served_registry(tmp_path_factory.mktemp("registry")) as target:
        yield target


@pytest.mark.long
def test_a_champion_of_other_columns_is_scored_on_the_new_rows(
    repository: Repository, registry: str
) -> None:
    (x, y), (kept, labels) = rows_of(1), rows_of(2)
    first = LogisticRegression(random_state=3).fit(x[:, [2, 0]], y)
    with repository.start(registry=registry, features=TWO) as run:
        describe(run, (x[:, [2, 0]], y), (kept[:, [2, 0]], labels))
        run.model(first)
        run.evaluate(threshold=0.5)
        run.policy(decision_threshold=0.5, fallback_score=0.1)
        assert str(run.register(reason="the first")) == "fraud@1"
    with RegistryClient(registry, actor=AUTHOR) as client:
        client.change("fraud", DeployChampion(1), reason="the first", expect_revision=0)

    second = LogisticRegression(random_state=4).fit(x, y)
    with repository.start(registry=registry) as run:
        describe(run, (x, y), (kept, labels))
        run.model(second)
        run.evaluate(threshold=0.5)
        run.policy(decision_threshold=0.5, fallback_score=0.1)
        comparison = run.record()["evaluation"]["comparison"]
        assert str(run.register(reason="a third column")) == "fraud@2"

    expected = roc_auc_score(labels, first.predict_proba(kept[:, [2, 0]])[:, 1])
    assert comparison["champion"] == "fraud@1"
    assert comparison["champion_value"] == pytest.approx(expected, abs=1e-9)

    with repository.start(registry=registry, features=TWO[:1]) as run:
        describe(run, (x[:, [2]], y), (kept[:, [2]], labels))
        run.model(LogisticRegression(random_state=5).fit(x[:, [2]], y))
        with pytest.raises(InvalidInputError, match=r"champion_rows.*user@1:amount"):
            run.evaluate(threshold=0.5)
        answers = first.predict_proba(kept[:, [2, 0]])[:, 1]
        run.evaluate(threshold=0.5, champion_scores=answers)
        run.policy(decision_threshold=0.5, fallback_score=0.1)
        given = run.record()["evaluation"]["comparison"]
        assert given["champion_value"] == pytest.approx(expected, abs=1e-9)
        assert f"note: {GIVEN_SCORES}" in str(run.check())
        with pytest.raises(InvalidInputError, match=r"champion_scores: read .scores without a"):
            run.evaluate(threshold=0.5, champion=None, champion_scores=answers)
        run.evaluate(threshold=0.5, champion=None)
        run.policy(decision_threshold=0.5, fallback_score=0.1)
        with pytest.raises(RefusedError, match="has had champions"):
            run.register(reason="hides the champion")
