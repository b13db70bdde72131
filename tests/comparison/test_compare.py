"""From logged rows to a report: which rows are compared, each once, and which are left out."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.comparison.reports import classes_of, scores_of
from tests.logs.builders import AT_US, DATE, DAY_US, outcome_batch, score_batch, shadow_batch
from understudy.comparison.compare import compare
from understudy.comparison.evidence.rows import Question
from understudy.comparison.plan import Plan
from understudy.domain.errors import (
    InconclusiveError,
    InvalidInputError,
    NotFoundError,
)
from understudy.domain.logged_ids import IdForm, LoggedIds
from understudy.logs.batches import LogBatch
from understudy.logs.books import read_books
from understudy.logs.ledger import MirrorLedger
from understudy.logs.reader import open_logs
from understudy.logs.writer import LogWriter, WriterLimits
from understudy.statistics.measures import Number
from understudy.statistics.paired import mean_scores
from understudy.statistics.ranking import compare_auc
from understudy.statistics.units import units_of

Write = Callable[..., Path]
SECOND_US = 1_000_000


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that logs batches and returns the log directory."""

    def write_all(*batches: LogBatch) -> Path:
        with LogWriter(tmp_path, limits=WriterLimits(gather_s=0.005)) as writer:
            for batch in batches:
                assert writer.offer(batch)
        return tmp_path

    return write_all


def test_the_numbers_are_those_of_the_statistics_over_the_logged_rows(write: Write) -> None:
    random = np.random.default_rng(7)
    labels = (random.random(400) < 0.4).astype(np.float64)
    champion = np.clip(0.3 + 0.3 * labels + random.normal(0, 0.2, 400), 0, 1)
    shadow = np.clip(champion + random.normal(0.03, 0.1, 400), 0, 1)
    users = [f"u{number % 90}" for number in range(400)]
    units = np.arange(400) % 90

    log_dir = write(
        shadow_batch(champion, shadow, entity_ids=users),  # type: ignore[arg-type]  # arrays do
        outcome_batch(labels),  # type: ignore[arg-type]  # as above
    )
    report = compare(log_dir, Question("fraud"), Plan(threshold=0.5, confidence=0.9))

    assert (report.pair.shadow, report.pair.champion) == (9, 7)
    assert (report.rows.pairs, report.rows.requests, report.rows.units) == (400, 400, 90)
    expected = mean_scores(champion, shadow, units=units_of(units), confidence=0.9)
    assert_near(scores_of(report).mean.difference, expected.difference)
    (acting,) = report.decisions
    assert acting.flips.to_positive == np.count_nonzero((champion < 0.5) & (shadow >= 0.5))
    classes = classes_of(report)
    assert classes.auc is not None
    areas = compare_auc(labels == 1, champion, shadow, clusters=units, confidence=0.9)
    assert_near(classes.auc.difference, areas.difference)
    assert classes.calibration is not None
    brier = classes.calibration.brier.champion.estimate
    assert brier == pytest.approx(np.mean((champion - labels) ** 2))
    assert acting.quality is not None
    recall = np.mean(shadow[labels == 1] >= 0.5)
    assert acting.quality.recall.shadow.estimate == pytest.approx(recall)
    assert report.outcomes.matched == 400


def assert_near(found: Number, expected: Number) -> None:
    ends = (found.estimate, found.lower, found.upper)
    assert ends == pytest.approx((expected.estimate, expected.lower, expected.upper))


def test_a_repeated_request_counts_once_with_its_latest_scores(write: Write) -> None:
    again = shadow_batch([0.9], [0.8], first=1, at_us=AT_US + SECOND_US)

    report = compare(
        write(shadow_batch([0.1, 0.2, 0.3], [0.1, 0.2, 0.3]), again), Question("fraud")
    )

    assert (report.rows.ok, report.rows.duplicates, report.rows.pairs) == (4, 1, 3)
    assert scores_of(report).mean.champion.estimate == pytest.approx((0.1 + 0.9 + 0.3) / 3)


def test_a_row_that_failed_first_and_was_answered_later_is_compared(write: Write) -> None:
    nan = float("nan")
    failed = shadow_batch([0.1, 0.2], [nan, nan], status="error")
    late = shadow_batch([0.1], [nan], first=5, status="timeout")

    report = compare(write(failed, late, shadow_batch([0.1, 0.2], [0.3, 0.4])), Question("fraud"))

    census = report.rows
    assert (census.ok, census.error, census.timeout, census.pairs) == (2, 2, 1, 2)


def test_candidates_of_one_request_are_separate_rows_without_an_outcome(write: Write) -> None:
    batch = shadow_batch(
        [0.1, 0.2, 0.3], request_ids=["one"] * 3, entity_ids=["u"] * 3, candidate_ids=list("abc")
    )

    report = compare(write(batch, outcome_batch([1.0], request_ids=["one"])), Question("fraud"))

    assert (report.rows.pairs, report.rows.requests, report.rows.duplicates) == (3, 1, 0)
    assert (report.outcomes.matched, report.outcomes.of_candidates) == (0, 3)
    difference = scores_of(report).mean.difference
    assert (difference.lower, difference.why) == (None, "all its rows are of one unit")
    assert report.quality is None


def test_scores_that_are_not_finite_are_left_out_and_counted(write: Write) -> None:
    batch = shadow_batch([0.1, float("inf"), 0.3, float("nan")], [0.1, 0.2, float("nan"), 0.4])

    report = compare(write(batch, shadow_batch([0.5], first=9)), Question("fraud"))

    assert (report.rows.ok, report.rows.not_finite, report.rows.pairs) == (5, 3, 2)


def test_the_latest_report_of_an_outcome_wins_and_conflicts_are_counted(write: Write) -> None:
    log_dir = write(
        shadow_batch([0.1, 0.2, 0.8, 0.9]),
        outcome_batch([0.0, 0.0, 1.0]),
        outcome_batch([1.0], first=1, at_us=AT_US + 5 * SECOND_US),  # corrected
        outcome_batch([1.0], first=2, at_us=AT_US + 6 * SECOND_US),  # reported again
        outcome_batch([1.0], first=77),  # of a request that was not mirrored
    )

    report = compare(log_dir, Question("fraud"))

    census = report.outcomes
    assert (census.matched, census.unmatched) == (3, 1)
    assert (census.duplicates, census.conflicting) == (2, 1)
    calibration = classes_of(report).calibration
    assert calibration is not None
    brier = calibration.brier.champion.estimate
    assert brier == pytest.approx(np.mean([0.1**2, 0.8**2, 0.2**2]))


def test_outcomes_seen_before_the_answer_are_used_and_counted(write: Write) -> None:
    early = outcome_batch([0.0, 1.0], observed_at_us=np.array([AT_US - 1, AT_US + 1]))

    report = compare(write(shadow_batch([0.1, 0.9]), early), Question("fraud"))

    assert (report.outcomes.matched, report.outcomes.observed_before_answer) == (2, 1)


def test_outcomes_that_are_numbers_are_judged_by_errors(write: Write) -> None:
    log_dir = write(shadow_batch([10.0, 1.0], [12.5, 2.0]), outcome_batch([12.5, 1.0]))

    report = compare(log_dir, Question("fraud"))

    assert (report.outcomes.matched, report.outcomes.not_binary) == (2, 1)
    assert report.quality is not None
    assert report.quality.classes is None
    assert report.quality.numbers is not None
    absolute = report.quality.numbers.absolute
    assert (absolute.champion.estimate, absolute.shadow.estimate) == (1.25, 0.5)


def test_outcomes_of_rows_that_are_too_young_do_not_count(write: Write) -> None:
    log_dir = write(
        shadow_batch([0.1, 0.2]),
        shadow_batch([0.3, 0.4], first=2, at_us=AT_US + DAY_US),
        outcome_batch([0.0, 1.0, 1.0, 1.0], observed_at_us=np.full(4, AT_US + 2 * DAY_US)),
    )
    matured_before = datetime(2026, 11, 19)  # noqa: DTZ001 - as in the logs

    report = compare(log_dir, Question("fraud", matured_before=matured_before))

    assert (report.outcomes.matched, report.outcomes.immature) == (2, 2)
    assert classes_of(report).rows == 2


def test_several_pairs_are_named_and_none_is_guessed(write: Write) -> None:
    log_dir = write(
        shadow_batch([0.1, 0.2]),
        shadow_batch([0.3] * 5, shadow_version=11, at_us=AT_US + DAY_US),
        shadow_batch([0.4] * 3, first=50, version=8),
    )

    with pytest.raises(InvalidInputError) as refused:
        compare(log_dir, Question("fraud"))
    chosen = compare(log_dir, Question("fraud", shadow=9, champion=8))

    for shadow, champion, rows in ((11, 7, 5), (9, 7, 2), (9, 8, 3)):
        assert f"--shadow {shadow} --champion {champion} ({rows} rows" in str(refused.value)
    assert chosen.rows.pairs == 3


def test_rows_that_differ_most_are_named(write: Write) -> None:
    report = compare(
        write(shadow_batch([0.1, 0.5, 0.9], [0.2, 0.0, 0.9]), outcome_batch([0.0, 1.0])),
        Question("fraud"),
    )

    assert [(each.request_id, each.label) for each in report.worst] == [
        ("r1", 1.0),
        ("r0", 0.0),
        ("r2", None),
    ]


def test_each_day_has_its_own_difference(write: Write) -> None:
    log_dir = write(
        shadow_batch([0.1, 0.2], [0.2, 0.4]),
        shadow_batch([0.3], [0.1], first=2, at_us=AT_US + DAY_US),
    )

    days = compare(log_dir, Question("fraud")).days

    assert [(day.day, day.pairs) for day in days] == [("2026-11-18", 2), ("2026-11-19", 1)]
    assert [day.difference.estimate for day in days] == pytest.approx([0.15, -0.2])


def test_a_single_day_is_no_section_of_its_own(write: Write) -> None:
    log_dir = write(shadow_batch([0.1, 0.2], [0.2, 0.4]))

    assert compare(log_dir, Question("fraud")).days == ()


def test_each_day_has_its_own_decisions_and_quality(write: Write) -> None:
    log_dir = write(
        shadow_batch([0.1, 0.9, 0.6, 0.2], [0.2, 0.8, 0.4, 0.6]),
        shadow_batch([0.3, 0.7], [0.1, 0.9], first=4, at_us=AT_US + DAY_US),
        outcome_batch([0.0, 1.0, 0.0, 1.0, 1.0]),
    )

    first, second = compare(log_dir, Question("fraud"), Plan(threshold=0.5)).days

    assert (first.outcomes, second.outcomes) == (4, 1)
    assert first.auc is not None
    assert (first.auc.champion.estimate, first.auc.shadow.estimate) == (0.75, 1.0)
    assert first.flips is not None
    assert (first.flips.to_positive, first.flips.to_negative) == (1, 1)
    assert second.auc is None  # of one class
    assert second.squared_error is not None
    found = (second.squared_error.champion.estimate, second.squared_error.shadow.estimate)
    assert found == pytest.approx((0.7**2, 0.9**2))


def test_rows_before_since_and_after_until_are_left_out(write: Write) -> None:
    log_dir = write(
        shadow_batch([0.1, 0.2]), shadow_batch([0.3] * 3, first=10, at_us=AT_US + 60 * SECOND_US)
    )

    moment = datetime(2026, 11, 18, 11, 7)  # noqa: DTZ001 - as in the logs

    assert compare(log_dir, Question("fraud", since=moment)).rows.pairs == 3
    assert compare(log_dir, Question("fraud", until=moment)).rows.pairs == 2


def test_a_single_pair_gives_a_census_and_no_statistics(write: Write) -> None:
    report = compare(write(shadow_batch([0.1])), Question("fraud"), Plan(threshold=0.5))

    assert report.rows.pairs == 1
    assert report.scores is None


def test_no_rows_are_inconclusive_and_no_log_is_not_found(write: Write, tmp_path: Path) -> None:
    log_dir = write(shadow_batch([0.1, 0.2]))

    with pytest.raises(InconclusiveError, match="no row of churn"):
        compare(log_dir, Question("churn"))
    with pytest.raises(NotFoundError, match="log directory"):
        compare(tmp_path / "nowhere", Question("fraud"))


def test_a_file_that_is_no_log_is_left_out_with_a_warning(write: Write) -> None:
    log_dir = write(shadow_batch([0.1, 0.2]))
    folder = log_dir / "shadow" / "model=fraud" / f"date={DATE}"
    (folder / "bad.parquet").write_bytes(b"none")
    pq.write_table(pa.table({"weather": ["rain"]}), folder / "foreign.parquet")

    report = compare(log_dir, Question("fraud"))

    assert report.rows.pairs == 2
    for name in ("bad.parquet", "foreign.parquet"):
        assert any(name in each for each in report.coverage.warnings)


def test_a_directory_whose_name_looks_like_a_pattern_is_read(tmp_path: Path) -> None:
    root = tmp_path / "it's [a-z]* odd?"
    with LogWriter(root) as writer:
        writer.offer(shadow_batch([0.1, 0.2]))

    assert compare(root, Question("fraud")).rows.pairs == 2


def test_an_invalid_query_is_reported(write: Write) -> None:
    with open_logs(write()) as reader:
        for query in ("SELEC 1", "SELECT nothing FROM score", "SELECT 1 FROM nowhere"):
            with pytest.raises(InvalidInputError, match="query"):
                reader.table(query)
        with pytest.raises(InvalidInputError, match="query"):
            reader.keep("kept", "SELECT nothing", {})


def test_the_ledger_counts_each_shadow_and_rows_without_an_answer(write: Write) -> None:
    nan = float("nan")
    log_dir = write(
        score_batch(4),
        score_batch(6, first=10, model="churn"),
        shadow_batch([0.1, 0.2, 0.3]),
        shadow_batch([0.1], [nan], first=3, status="timeout"),
        shadow_batch([0.1, 0.1], [nan, nan], first=12, status="error", shadow_version=11),
    )

    books = read_books(log_dir, "fraud")

    assert books.answered == 4
    nine, eleven = books.shadows
    assert (nine.shadow, nine.unanswered) == (9, 0)
    assert nine.ledger == MirrorLedger(offered=4, ok=3, timeout=1)
    assert (eleven.shadow, eleven.unanswered) == (11, 2)
    assert eleven.ledger == MirrorLedger(offered=2, error=2)


def test_units_under_two_keys_of_ids_are_counted_with_a_warning(tmp_path: Path) -> None:
    rules = (LoggedIds(IdForm.KEYED, b"1" * 16), LoggedIds(IdForm.KEYED, b"2" * 16))
    for day, ids in enumerate(rules):
        with LogWriter(tmp_path, ids=ids) as writer:
            assert writer.offer(shadow_batch((0.1, 0.2), at_us=AT_US + day * DAY_US, first=2 * day))
    since = datetime.fromtimestamp(AT_US / 1e6 + 43_200, UTC).replace(tzinfo=None)

    both = compare(tmp_path, Question("fraud"))
    later = compare(tmp_path, Question("fraud", since=since))

    (warning,) = [each for each in both.coverage.warnings if "forms" in each]
    assert all(f"keyed under key {each.key_id}" in warning for each in rules)
    assert not [each for each in later.coverage.warnings if "forms" in each]
