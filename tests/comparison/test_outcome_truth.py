"""The right outcome, for the right answer, under the id that was sent."""

import json
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from tests.comparison.reports import classes_of
from tests.logs.builders import AT_US, DAY_US, outcome_batch, score_batch, shadow_batch
from understudy.comparison.cli.commands import app
from understudy.comparison.compare import ComparisonReport, compare
from understudy.comparison.evidence.rows import Question
from understudy.logs.batches import LogBatch
from understudy.logs.reader import open_logs
from understudy.logs.writer import LogWriter
from understudy.runtime import exit_codes

SECOND_US = 1_000_000
NOVEMBER, JANUARY = "2026-11-20T00:00:00Z", "2027-01-15T00:00:00Z"


@dataclass(frozen=True)
class Desk:
    """A folder with logs, and the commands over them."""

    folder: Path

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    def log(self, *batches: LogBatch) -> None:
        with LogWriter(self.logs) as writer:
            for batch in batches:
                assert writer.offer(batch)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def load(self, file: Path, *options: str, exits: int = exit_codes.OK) -> dict[str, Any]:
        words = ["outcomes", "import", str(file), "--log-dir", str(self.logs), "--model", "fraud"]
        result = CliRunner().invoke(app, [*words, *options, "--output", "json"])
        assert result.exit_code == exits, result.output
        done: dict[str, Any] = json.loads(result.stdout) if result.stdout else {}
        return done

    def ids(self) -> set[str]:
        with open_logs(self.logs) as reader:
            return {row["request_id"] for row in reader.rows("SELECT request_id FROM outcomes")}


def _brier(report: ComparisonReport) -> float:
    classes = classes_of(report)
    assert classes.calibration is not None
    assert classes.calibration.brier.champion.estimate is not None
    return classes.calibration.brier.champion.estimate


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path)
    # Scores of 0: the Brier score is the share of labels that are 1.
    desk.log(score_batch(2), shadow_batch([0.0, 0.0], [0.5, 0.5]))
    return desk


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_outcome_observed_last_counts_whatever_the_order_of_rows(
    desk: Desk, order: tuple[int, int]
) -> None:
    rows = [f"r0,0,{NOVEMBER}\n", f"r0,1,{JANUARY}\n"]
    file = desk.write("labels.csv", "request_id,label,seen\n" + "".join(rows[at] for at in order))

    desk.load(file, "--observed-at", "seen")

    report = compare(desk.logs, Question("fraud"))
    assert _brier(report) == 1.0
    assert (report.outcomes.matched, report.outcomes.conflicting) == (1, 1)


def test_an_old_file_imported_again_changes_nothing(desk: Desk) -> None:
    files = [
        desk.write(f"{at}.csv", f"request_id,label,observed\nr0,{label},{at[:10]}\n")
        for at, label in ((JANUARY, 1), (NOVEMBER, 0))
    ]

    done = [desk.load(files[place], "--observed-at", "observed") for place in (0, 1, 0, 1)]

    assert [(each["imported"], each["repeated"]) for each in done] == [(1, 0)] * 2 + [(0, 1)] * 2
    assert _brier(compare(desk.logs, Question("fraud"))) == 1.0


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_of_equal_times_of_observation_the_first_report_of_the_last_correction_counts(
    tmp_path: Path, order: tuple[int, ...]
) -> None:
    desk = Desk(tmp_path)
    seen = np.array([AT_US + SECOND_US])
    reports = [  # the first label, its correction, and the first label once more
        outcome_batch([label], at_us=AT_US + at * SECOND_US, observed_at_us=seen)
        for at, label in ((10, 0.0), (20, 1.0), (30, 0.0))
    ]

    desk.log(shadow_batch([0.0, 0.0]), *(reports[place] for place in order))

    assert _brier(compare(desk.logs, Question("fraud"))) == 1.0


def test_without_times_a_label_that_the_log_has_is_no_correction(desk: Desk) -> None:
    first = desk.write("first.csv", "request_id,label\nr0,0\n")
    corrected = desk.write("corrected.csv", "request_id,label\nr0,1\n")

    done = [desk.load(file) for file in (first, corrected, first)]

    assert [each["repeated"] for each in done] == [0, 0, 1]
    assert _brier(compare(desk.logs, Question("fraud"))) == 1.0


UUID = "6F9619FF-8B86-D011-B42D-00C04FC964FF"
IDS = [
    ("uuid.jsonl", json.dumps({"request_id": UUID, "label": 1}), {UUID}),
    ("digits.json", '[{"request_id": 17, "label": 1}, {"request_id": "007", "label": 1}]', {"17", "007"}),
    ("large.jsonl", '{"request_id": 9007199254740993, "label": 1}', {"9007199254740993"}),
    ("time.jsonl", '{"request_id": "2026-11-01T12:00:00Z", "label": 1}', {"2026-11-01T12:00:00Z"}),
    ("spaces.csv", "request_id,label\n r 1 ,1\n", {" r 1 "}),
    ("zeros.csv", "request_id,label\n007,1\n1e3,1\n", {"007", "1e3"}),
    ("quoted.tsv", 'request_id\tlabel\n"a\tb"\t1\n', {"a\tb"}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "ids"), IDS, ids=[name for name, *_ in IDS])
def test_ids_stay_text_as_they_were_sent(
    tmp_path: Path, name: str, text: str, ids: set[str]
) -> None:
    desk = Desk(tmp_path)

    desk.load(desk.write(name, text), exits=exit_codes.FAILED)  # no score log, so nothing matches

    assert desk.ids() == ids


NUMBERS: list[tuple[pa.Array, set[str] | None]] = [
    (pa.array([17.0]), {"17"}),
    (pa.array([17.5]), None),
    (pa.array([2.0**53]), None),
    (pa.array([Decimal(9007199254740993)], pa.decimal128(38, 2)), {"9007199254740993"}),
    (pa.array([2**64 - 1], pa.uint64()), {"18446744073709551615"}),
    (pa.array([UUID]).dictionary_encode(), {UUID}),
    (pa.array(["x" * 257]), None),
    (pa.array([True]), None),
    (pa.array([b"\xff"]), None),
]


@pytest.mark.parametrize(("column", "ids"), NUMBERS, ids=lambda each: str(each)[:20])
def test_a_number_is_an_id_only_if_it_is_exact(
    tmp_path: Path, column: pa.Array, ids: set[str] | None
) -> None:
    desk = Desk(tmp_path)
    pq.write_table(pa.table({"request_id": column, "label": [1]}), tmp_path / "in.parquet")

    desk.load(tmp_path / "in.parquet", exits=exit_codes.FAILED if ids else exit_codes.USAGE)

    assert ids is None or desk.ids() == ids


@pytest.mark.parametrize(
    ("label", "expected"),
    [("true", 1.0), ("1e0", 1.0), ('" TRUE "', 1.0), ("0x1", None), ("1_0", None), ("inf", None),
     ("nan", None), ("", None), ("yes", None)],
)  # fmt: skip
def test_a_label_is_a_finite_number_in_one_grammar(
    desk: Desk, label: str, expected: float | None
) -> None:
    file = desk.write("labels.csv", f"request_id,label\nr0,{label}\n")

    desk.load(file, exits=exit_codes.USAGE if expected is None else exit_codes.OK)

    if expected is not None:
        assert _brier(compare(desk.logs, Question("fraud"))) == expected


def test_an_import_tells_how_many_outcomes_match_and_fails_if_none_does(desk: Desk) -> None:
    some = desk.write("some.csv", "request_id,label\nr0,1\nr1,0\nr1,0\nr77,1\n")
    none = desk.write("none.csv", "request_id,label\nR0,1\n")

    done = desk.load(some)
    lost = desk.load(none, exits=exit_codes.FAILED)

    counts = ("imported", "repeated", "matched", "unmatched")
    assert [done[name] for name in counts] == [3, 1, 3, 1]
    assert [lost[name] for name in counts] == [1, 0, 0, 1]


def test_contradictions_and_times_ahead_are_counted(desk: Desk) -> None:
    text = "request_id,label,seen\nr0,1,2026-11-01\nr0,0,2026-11-01\nr1,1,9999-01-01\n"

    done = desk.load(desk.write("labels.csv", text), "--observed-at", "seen")

    assert (done["conflicting"], done["from_future"]) == (2, 1)


def _used_again(*, again_us: int, **columns: Any) -> list[LogBatch]:
    return [
        shadow_batch([0.0], [0.5], **columns),
        shadow_batch([0.0], [0.5], at_us=AT_US + again_us, **columns),
        shadow_batch([0.0], [0.5], first=5),
    ]


@pytest.mark.parametrize(
    ("again_us", "pairs", "reused"),
    [(60 * SECOND_US, 2, 0), (61 * SECOND_US, 3, 1), (DAY_US, 3, 1)],
)
def test_ids_that_are_used_again_are_requests_of_their_own(
    tmp_path: Path, again_us: int, pairs: int, reused: int
) -> None:
    desk = Desk(tmp_path)
    desk.log(*_used_again(again_us=again_us))

    rows = compare(desk.logs, Question("fraud")).rows

    assert (rows.pairs, rows.requests, rows.reused_ids) == (pairs, pairs, reused)
    assert rows.duplicates == 3 - pairs


@pytest.mark.parametrize(
    ("seen_us", "matched"), [(-5, 1), (SECOND_US, 1), (DAY_US - 1, 1), (DAY_US, 1), (9 * DAY_US, 1)]
)
def test_an_outcome_belongs_to_the_latest_use_before_it(
    tmp_path: Path, seen_us: int, matched: int
) -> None:
    desk = Desk(tmp_path)
    first = shadow_batch([0.0], [0.5])
    second = shadow_batch([0.25], [0.5], at_us=AT_US + DAY_US)
    seen = outcome_batch([1.0], observed_at_us=np.array([AT_US + seen_us]))
    desk.log(first, second, seen)

    report = compare(desk.logs, Question("fraud"))

    assert (report.outcomes.matched, report.outcomes.unmatched) == (matched, 1)
    assert _brier(report) == (1.0 if seen_us < DAY_US else 0.75**2)


def test_a_use_that_was_not_mirrored_takes_its_outcome(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    answered = score_batch(1, at_us=AT_US + DAY_US)
    seen = outcome_batch([1.0], observed_at_us=np.array([AT_US + 2 * DAY_US]))
    desk.log(shadow_batch([0.1, 0.2]), answered, seen)

    outcomes = compare(desk.logs, Question("fraud")).outcomes

    assert (outcomes.matched, outcomes.unmatched) == (0, 2)


def test_one_id_for_several_units_takes_no_outcome(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    shared = shadow_batch([0.1, 0.2, 0.3], request_ids=["one"] * 3)
    desk.log(shared, outcome_batch([1.0], request_ids=["one"]))

    report = compare(desk.logs, Question("fraud"))

    assert (report.rows.pairs, report.rows.duplicates) == (3, 0)
    assert (report.outcomes.matched, report.outcomes.of_several_units) == (0, 3)
