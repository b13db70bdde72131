"""`understudy shadow …`: its output for people and for programs."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.logs.builders import AT_US, outcome_batch, score_batch, shadow_batch, wait_until
from understudy.comparison.cli.commands import app
from understudy.comparison.decisions.outcome_values import OutcomeColumns
from understudy.comparison.import_outcomes import import_outcomes
from understudy.domain.errors import UnavailableError
from understudy.domain.logged_ids import IdForm, LoggedIds
from understudy.logs.reader import open_logs
from understudy.logs.writer import LogWriter, WriterLimits
from understudy.runtime import exit_codes

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run() -> Run:
    """Return a function that runs the command: exit code, stdout, stderr."""

    def invoke(*arguments: str | Path) -> tuple[int, str, str]:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        return result.exit_code, result.stdout, result.stderr

    return invoke


@pytest.fixture
def log_dir(tmp_path: Path) -> Path:
    root = tmp_path / "logs"
    scores = [0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9]
    with LogWriter(root) as writer:
        writer.offer(score_batch(8))
        writer.offer(shadow_batch(scores, [score + 0.05 for score in scores]))
        writer.offer(outcome_batch([0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 1.0]))
    return root


def test_tail_shows_the_newest_rows_of_finished_and_unfinished_files(
    run: Run, log_dir: Path
) -> None:
    with LogWriter(log_dir, limits=WriterLimits(gather_s=0.005)) as writer:
        writer.offer(score_batch(2, first=100, at_us=AT_US + 1000))
        wait_until(lambda: writer.counters().queued_rows == 0, what="rows in a journal")

        code, text, _ = run("tail", "--log-dir", log_dir, "-n", "3", "--output", "json")

    rows = [json.loads(line) for line in text.splitlines()]
    assert code == exit_codes.OK
    assert [row["request_id"] for row in rows] == ["r7", "r100", "r101"]
    assert "features" not in rows[0]


def test_tail_of_one_model_leaves_the_others_out(run: Run, log_dir: Path) -> None:
    _, text, _ = run("tail", "--log-dir", log_dir, "--model", "churn", "--kind", "shadow")

    assert text == ""


def test_a_number_that_json_cannot_represent_is_null(run: Run, log_dir: Path) -> None:
    query = "SELECT 'nan'::DOUBLE AS a, 'inf'::DOUBLE AS b, 0.5 AS c"

    _, text, _ = run("sql", query, "--log-dir", log_dir, "--output", "json")

    assert json.loads(text, parse_constant=pytest.fail)["a"] is None


def test_a_value_that_looks_like_markup_is_shown_as_it_is(run: Run, tmp_path: Path) -> None:
    with LogWriter(tmp_path) as writer:
        writer.offer(score_batch(1, request_ids=["[red]r[/red]"]))

    _, shown, _ = run("tail", "--log-dir", tmp_path)

    assert "[red]r[/red]" in shown


def test_the_ledger_shows_each_shadow(run: Run, log_dir: Path) -> None:
    _, shown, _ = run("ledger", "--log-dir", log_dir, "--model", "fraud")
    _, text, _ = run("ledger", "--log-dir", log_dir, "--model", "fraud", "--output", "json")

    assert "8 rows answered" in shown
    (nine,) = json.loads(text)["shadows"]
    assert (nine["shadow"], nine["unanswered"]) == (9, 0)
    assert {name: rows for name, rows in nine["ledger"].items() if rows} == {"offered": 8, "ok": 8}


def test_sql_runs_over_the_views(run: Run, log_dir: Path) -> None:
    query = "SELECT version, count(*) AS n FROM score GROUP BY ALL"

    code, text, _ = run("sql", query, "--log-dir", log_dir, "--output", "json")

    assert code == exit_codes.OK
    assert json.loads(text) == {"version": 7, "n": 8}


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("sql", "SELEC 1"), exit_codes.USAGE, "syntax error"),
    ],
)
def test_an_expected_failure_is_one_line_and_an_exit_code(
    run: Run, log_dir: Path, arguments: tuple[str, ...], code: int, told: str
) -> None:
    found, out, err = run(*arguments, "--log-dir", log_dir)

    assert (found, out) == (code, "")
    assert told in err
    assert err.count("\n") == 1


def test_a_file_that_cannot_be_read_is_named_and_hides_no_other(run: Run, log_dir: Path) -> None:
    folder = log_dir / "shadow" / "model=fraud" / "date=2026-11-18"
    (folder / "bad.parquet").write_bytes(b"none")

    code, shown, err = run("ledger", "--log-dir", log_dir, "--model", "fraud")

    assert code == exit_codes.OK
    assert "8 rows answered" in shown
    assert "left out: " in err
    assert "bad.parquet" in err


def test_a_digest_under_a_key_that_no_file_has_is_refused(run: Run, tmp_path: Path) -> None:
    keys = {name: f"a key of the logs, {name}" for name in ("ours", "old", "lost")}
    for name, key in keys.items():
        (tmp_path / name).write_text(key)
        (tmp_path / name).chmod(0o600)
    for name in ("ours", "old"):
        with LogWriter(tmp_path / "logs", ids=LoggedIds(IdForm.KEYED, keys[name].encode())) as log:
            log.offer(score_batch(1))
    key_ids = {n: LoggedIds(IdForm.KEYED, key.encode()).key_id for n, key in keys.items()}
    chosen = ("digest", "u0", "--output", "json", "--log-key-file")

    code, shown, _ = run(*chosen, tmp_path / "ours", "--log-dir", tmp_path / "logs")
    assert code == exit_codes.OK
    files = json.loads(shown)["files"]
    assert (files["matching"], files["unstated"]) == (1, 0)
    assert [each["key_id"] for each in files["others"]] == [key_ids["old"]]

    code, shown, failure = run(*chosen, tmp_path / "lost", "--log-dir", tmp_path / "logs")
    assert (code, shown) == (exit_codes.USAGE, "")
    assert all(key_ids[name] in failure for name in keys)

    code, shown, _ = run(*chosen, tmp_path / "lost")
    assert code == exit_codes.OK
    assert json.loads(shown)["files"] is None


def labels_in(log_dir: Path) -> list[tuple[str, float, str]]:
    with open_logs(log_dir) as reader:
        rows = reader.rows("SELECT request_id, label, observed_at_utc FROM outcomes ORDER BY ALL")
    return [(r["request_id"], r["label"], r["observed_at_utc"].isoformat()) for r in rows]


def test_outcomes_are_imported_from_csv_with_any_column_names(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "truth.csv"
    file.write_text("id,fraud,seen\n007,true,2026-11-18 12:00:00+01:00\n12,0,2026-11-18T11:30:00\n")

    with LogWriter(tmp_path / "logs") as writer:
        writer.offer(score_batch(2, request_ids=["007", "13"]))

    code, told, _ = run(
        "outcomes", "import", file, "--log-dir", tmp_path / "logs", "--model", "fraud",
        "--request-id", "id", "--label", "fraud", "--observed-at", "seen",
    )  # fmt: skip

    shown = "2 outcomes of fraud imported, 0 known already; 1 match requests in the score log, 1 do"
    assert (code, told) == (exit_codes.OK, f"{shown} not\n")
    assert labels_in(tmp_path / "logs") == [
        ("007", 1.0, "2026-11-18T11:00:00"),
        ("12", 0.0, "2026-11-18T11:30:00"),
    ]


def test_outcomes_are_imported_from_parquet_and_json_lines(
    run: Run, log_dir: Path, tmp_path: Path
) -> None:
    lines = tmp_path / "truth.jsonl"
    lines.write_text('{"request_id": "r1", "label": 1}\n{"request_id": "r2", "label": 0.5}\n')
    parquet = next((log_dir / "outcomes").rglob("*.parquet"))

    with LogWriter(tmp_path / "new") as writer:
        writer.offer(score_batch(8, model="m"))
    for file in (lines, parquet):
        code, *_ = run("outcomes", "import", file, "--log-dir", tmp_path / "new", "--model", "m")
        assert code == exit_codes.OK

    assert len(labels_in(tmp_path / "new")) == 10


@pytest.mark.parametrize(
    ("name", "content", "code", "told"),
    [
        ("a.csv", "request_id,label\na,1\n,1\nb,much\n", exit_codes.USAGE,
         "column label: read 1 unusable, the first in row 2: much; accepted: a finite number, true"),
        ("a.csv", "id,value\na,1\n", exit_codes.USAGE,
         "a.csv: read columns id, value; accepted: a file that also has request_id, label\n"),
        ("a.jsonl", '{"id": 1}', exit_codes.USAGE,
         "a.jsonl: read columns id; accepted: a file that also has request_id, label\n"),
        ("a.jsonl", '{"id": 1, "id": 2}', exit_codes.USAGE, "a name twice in one object: id, id"),
        ("a.xlsx", "", exit_codes.USAGE, "accepted: .csv, .json, .jsonl, .ndjson, .parquet, .tsv"),
        ("a.parquet", "no parquet", exit_codes.USAGE, "a Parquet or CSV file"),
    ],
)  # fmt: skip
def test_a_file_with_any_invalid_row_is_not_imported_at_all(
    run: Run, tmp_path: Path, name: str, content: str, code: int, told: str
) -> None:
    (tmp_path / name).write_text(content)

    found, _, err = run(
        "outcomes", "import", tmp_path / name, "--log-dir", tmp_path / "logs", "--model", "fraud"
    )

    assert found == code
    assert told in err
    assert not (tmp_path / "logs").exists()


def test_a_missing_file_is_reported(run: Run, tmp_path: Path) -> None:
    code, _, err = run(
        "outcomes", "import", tmp_path / "no.csv", "--log-dir", tmp_path, "--model", "fraud"
    )

    assert code == exit_codes.USAGE
    assert "no.csv does not exist" in err


def test_a_long_file_is_imported_completely(run: Run, tmp_path: Path) -> None:
    rows = 70_000  # more than one flush
    file = tmp_path / "truth.csv"
    file.write_text("request_id,label\n" + "".join(f"r{n},{n % 2}\n" for n in range(rows)))

    with LogWriter(tmp_path / "logs") as writer:
        writer.offer(score_batch(5, model="m"))

    code, told, _ = run("outcomes", "import", file, "--log-dir", tmp_path / "logs", "--model", "m")

    assert code == exit_codes.OK
    assert told.startswith(f"{rows} outcomes of m imported, 0 known already; 5 match")
    with open_logs(tmp_path / "logs") as reader:
        assert reader.rows(
            "SELECT count(DISTINCT request_id) AS n, sum(label) AS s FROM outcomes"
        ) == [{"n": rows, "s": rows / 2}]


def test_a_log_directory_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("in the way")
    file = tmp_path / "truth.csv"
    file.write_text("request_id,label\na,1\n")

    with pytest.raises(UnavailableError, match="cannot be written"):
        import_outcomes(
            file, tmp_path / "logs", "m", columns=OutcomeColumns(), at_us=1, flush_timeout_s=0.05
        )
