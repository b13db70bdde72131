"""An author's run: facts as they are, findings by the gate, offline."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from tests.train.repository import (
    AUTHOR,
    WINDOW,
    Repository,
    describe,
    make_repository,
    numbers,
    rows_of,
)
from understudy import train
from understudy.domain.errors import InvalidInputError, RefusedError, UnavailableError
from understudy.train.decisions.kinds import ModelKind
from understudy.train.original import original_of

LATER = datetime.now(UTC).date() + timedelta(days=300)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return make_repository(tmp_path_factory.mktemp("author"), numbers(default=0.0))


def completed(run: train.Run) -> train.Run:
    x, y = rows_of(1)
    describe(run, (x, y), rows_of(2))
    run.model(LogisticRegression(random_state=3).fit(x, y))
    run.evaluate(threshold=0.5, champion=None)
    run.policy(decision_threshold=0.5, fallback_score=0.1)
    return run


@pytest.fixture(scope="module")
def record(repository: Repository) -> dict[str, Any]:
    """Return the record of a run that writes a file into its own checkout."""
    output = repository.root / "metrics.json"
    with repository.start() as run:
        output.write_text("{}")
        written = completed(run).record()
    output.unlink()
    return written


def test_a_record_has_the_seeds_of_the_model_and_of_the_run(record: dict[str, Any]) -> None:
    assert record["seeds"] == {"values": {"random_state": 3, "split": 7}}


def test_outputs_of_the_run_do_not_make_its_code_dirty(record: dict[str, Any]) -> None:
    assert record["code"]["source"]["dirty"] is False


def test_the_converted_model_is_measured(record: dict[str, Any]) -> None:
    metrics = {each["name"]: each for each in record["evaluation"]["metrics"]}

    assert metrics["auc"]["n"] == 300
    assert metrics["auc"]["value"] > 0.9


def test_without_a_champion_the_registry_is_not_asked(record: dict[str, Any]) -> None:
    # The repository's default is an address at which nothing listens.
    assert record["evaluation"]["comparison"] == {"first_version": True}


def test_people_and_policy_come_from_the_repository(record: dict[str, Any]) -> None:
    assert record["people"]["author"] == AUTHOR
    assert record["policy"]["intended_use"] == "tests only"
    assert record["policy"]["revalidate_by"] > datetime.now(UTC).date().isoformat()


def test_people_given_to_a_run_precede_those_of_the_repository(repository: Repository) -> None:
    people = {"owner": "fraud desk", "contact": "desk@example.org", "approver": "hopper@lab"}

    with repository.start(**people) as run:
        written = completed(run).record()["people"]

    assert written == {**people, "author": AUTHOR}


def test_the_gate_finds_nothing_in_a_complete_run(repository: Repository) -> None:
    absent = train.waiver("decisions are made elsewhere", approved_by="grace@lab", expires_on=LATER)
    with repository.start() as run:
        completed(run).policy(decision_threshold=absent, fallback_score=0.1)

        assert str(run.check()) == "complete: the gate finds nothing"


def test_a_regressor_declares_that_it_has_no_threshold(repository: Repository) -> None:
    x, y = rows_of(1)
    with repository.start() as run:
        describe(run, (x, y), rows_of(2))
        run.model(LinearRegression().fit(x, y))
        run.evaluate(champion=None)
        run.policy(fallback_score=0.0)

        written = run.record()

    assert written["evaluation"]["threshold"] is None
    assert written["policy"]["decision_threshold"] is None


def test_changes_before_the_start_are_in_the_record(repository: Repository) -> None:
    script = repository.root / "training.py"
    before = script.read_text()
    script.write_text("fit(again=True)\n")
    with repository.start() as run:
        script.write_text(before)
        source = completed(run).record()["code"]["source"]

    assert (source["dirty"], source["changed_files"]) == (True, ["training.py"])


def test_steps_in_another_order_are_refused_by_the_name_of_the_missing_one(
    repository: Repository,
) -> None:
    with repository.start() as run, pytest.raises(RefusedError, match=r"run\.data"):
        run.model(LogisticRegression())


def test_a_new_model_needs_a_new_evaluation(repository: Repository) -> None:
    x, y = rows_of(3)
    with repository.start() as run:
        completed(run).model(LogisticRegression(random_state=4).fit(x, y))

        with pytest.raises(RefusedError, match=r"run\.evaluate"):
            run.record()


def test_a_registry_that_does_not_answer_is_no_first_version(repository: Repository) -> None:
    with repository.start() as run:
        completed(run)

        with pytest.raises(UnavailableError, match="registry"):
            run.evaluate(threshold=0.5)


def test_a_time_without_a_zone_is_refused(repository: Repository) -> None:
    x, y = rows_of(1)
    with (
        repository.start() as run,
        pytest.raises(InvalidInputError, match=r"labels_matured_at.*its zone"),
    ):
        run.data(
            (x, y),
            (x[:9], y[:9]),
            uri="memory:rows",
            window=WINDOW,
            label="paid",
            labels_matured_at=datetime(2025, 8, 1),  # noqa: DTZ001 - the claim
            split="random",
        )


def test_a_regressor_may_rank_but_not_classify() -> None:
    regressor = LinearRegression()

    assert original_of(regressor, "ranking").kind is ModelKind.RANKING
    with pytest.raises(InvalidInputError, match="read 'binary'; accepted: regression"):
        original_of(regressor, "binary")
