"""The commands as operators call them: output and exit codes."""

import json
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from tests.features.aerospike_node import running_node
from understudy.features.cli.commands import app
from understudy.features.stores import open_writer
from understudy.runtime import exit_codes

VIEWS = dedent("""
    views:
      - name: user
        version: 1
        entity: user
        features:
          - {name: age, dtype: int64, default: 30, owner: risk}
          - {name: amount, dtype: float32, max_age_s: 60}
      - name: derived
        version: 1
        kind: computed
        inputs: {amount: "user@1:amount"}
        features:
          - {name: twice, dtype: float32, expression: "amount * 2"}
""")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "views.yaml").write_text(VIEWS)
    pq.write_table(
        pa.table(
            {
                "user": ["a", "b", "c"],
                "event_time": [datetime(2026, 1, 1, tzinfo=UTC)] * 3,
                "age": [1, 2, 3],
                "amount": [0.5, float("inf"), None],
            }
        ),
        tmp_path / "rows.parquet",
    )
    return tmp_path


def _run(folder: Path, *arguments: str, exits: int = exit_codes.OK) -> tuple[str, str]:
    result = CliRunner().invoke(app, [each.replace("@@", f"{folder}/") for each in arguments])
    assert result.exit_code == exits, result.output
    return result.stdout, result.stderr


def _json(folder: Path, *arguments: str, exits: int = exit_codes.OK) -> Any:
    return json.loads(_run(folder, *arguments, "--output", "json", exits=exits)[0])


def test_valid_views_are_counted_and_faults_reported_line_by_line(folder: Path) -> None:
    stdout, _ = _run(folder, "validate", "@@views.yaml")
    assert "2 views, 3 features" in stdout
    (folder / "bad.yaml").write_text(VIEWS.replace("int64", "int65").replace("60", "-60"))

    _, stderr = _run(folder, "validate", "@@bad.yaml", exits=exit_codes.FAILED)

    assert len(stderr.splitlines()) == 2
    _run(folder, "validate", "@@none.yaml", exits=exit_codes.USAGE)


def test_all_faulty_files_are_reported_by_name(folder: Path) -> None:
    (folder / "bad.yaml").write_text(VIEWS.replace("int64", "int65"))
    (folder / "odd.yaml").write_text("views: [")
    files = ("@@bad.yaml", "@@none.yaml", "@@views.yaml", "@@odd.yaml")

    stdout, stderr = _run(folder, "validate", *files, exits=exit_codes.FAILED)

    assert "views.yaml: 2 views" in stdout
    bad, none, odd = stderr.splitlines()
    assert bad.startswith(f"understudy: {folder / 'bad.yaml'}: views[0].features[0].dtype")
    assert "none.yaml" in none
    assert odd.count("odd.yaml") == 1


def test_views_are_listed_and_shown(folder: Path) -> None:
    stdout, _ = _run(folder, "list", "--views", "@@views.yaml")
    assert "user@1" in stdout
    listed = _json(folder, "list", "--views", "@@views.yaml")
    assert [each["kind"] for each in listed] == ["stored", "computed"]
    assert [each["key"] for each in listed] == ["text", None]

    shown = _json(folder, "show", "user", "--views", "@@views.yaml")
    assert [each["name"] for each in shown["features"]] == ["age", "amount"]
    assert shown["digest"] == listed[0]["digest"]
    stdout, _ = _run(folder, "show", "derived@1", "--views", "@@views.yaml")
    assert "amount * 2" in stdout


def test_a_change_under_the_same_version_is_refused(folder: Path) -> None:
    (folder / "new.yaml").write_text(
        VIEWS.replace("default: 30, owner: risk", "default: 31").replace("derived", "derived2")
    )
    (folder / "texts.yaml").write_text(VIEWS.replace("owner: risk", "owner: fraud"))
    both = ("diff", "@@views.yaml", "@@new.yaml")

    changes = _run(folder, *both, exits=exit_codes.REFUSED)[0]

    assert "feature age, default: 30 to 31" in changes
    assert "added" in changes
    assert "removed" in changes
    assert "texts changed" in _run(folder, "diff", "@@views.yaml", "@@texts.yaml")[0]


def test_a_load_accounts_for_each_row(folder: Path) -> None:
    load = ("load", "@@rows.parquet", "--views", "@@views.yaml", "--store", "lmdb:@@store")

    for written, skipped in ((2, 0), (0, 2)):  # the second run has nothing left to write
        done = _json(folder, *load, "--rejects", "@@rejects.csv", exits=exit_codes.FAILED)

        assert (done["written"], done["rejected"], done["skipped"]) == (written, 1, skipped)
        assert (folder / "rejects.csv").read_text().splitlines() == [
            "file,row,column,read,accepted",
            f"{folder / 'rows.parquet'},1,amount,inf,a finite float32 number",
        ]
    stdout, _ = _run(folder, *load, "--max-rejects", "1")
    assert "1 rejected, 2 written before" in stdout
    later = ("--event-time", "2026-02-01", "--max-rejects", "1")
    stdout, stderr = _run(folder, *load, *later)
    assert "2 written" in stdout
    assert "rejected: row 1, amount" in stderr


def test_a_load_of_a_missing_file_is_reported(folder: Path) -> None:
    store = ("--store", "lmdb:@@store")
    views = ("--views", "@@views.yaml")
    _run(folder, "load", "@@none.parquet", *views, *store, exits=exit_codes.USAGE)
    _run(folder, "load", "@@rows.parquet", *views, "--store", "x:y", exits=exit_codes.USAGE)
    computed = ("--view", "derived")
    _run(folder, "load", "@@rows.parquet", *views, *store, *computed, exits=exit_codes.USAGE)


def test_a_ping_reports_latency_and_clock_skew(folder: Path) -> None:
    open_writer(f"lmdb:{folder / 'store'}").close_now()
    (report,) = _json(folder, "ping", "--store", "lmdb:@@store", "--count", "3")
    assert (report["reads"], report["clock_skew_s"]) == (3, 0.0)

    with running_node() as node:
        (report,) = _json(folder, "ping", "--store", node.url)
        missing = node.url.replace("features", "elsewhere")
        _, stderr = _run(folder, "ping", "--store", missing, exits=exit_codes.UNAVAILABLE)
    assert report["clock_skew_s"] in {-1.0, 0.0, 1.0}
    assert report["p50_ms"] <= report["p99_ms"]
    assert "namespace does not exist" in stderr
    _, stderr = _run(folder, "ping", "--store", missing, exits=exit_codes.UNAVAILABLE)
    assert "no connection" in stderr


def test_history_is_written_and_audited(folder: Path) -> None:
    asked = {"user": ["a", "c"], "event_time": [datetime(2026, 1, 1, 0, 0, 30, tzinfo=UTC)] * 2}
    pq.write_table(pa.table(asked), folder / "asked.parquet")
    common = ("--views", "@@views.yaml", "--history", "user@1=@@rows.parquet")

    _run(folder, "history", "@@asked.parquet", "@@out.parquet", *common)

    table = pq.read_table(folder / "out.parquet")
    assert table["age"].to_pylist() == [1, 3]
    assert table["twice"].to_pylist() == [1.0, None]

    _write_log(folder, [[1.0, 0.5], [3.0, float("nan")]])
    (folder / "set.txt").write_text("# the model's inputs\nuser@1:age\nuser@1:amount\n")
    chosen = ("--log", "@@log.parquet", "--feature-set", "@@set.txt", "--log-ids", "plain")
    stdout, _ = _run(folder, "audit", *common, *chosen)
    assert "2 of 2 logged rows" in stdout
    assert "not compared" not in stdout
    _write_log(folder, [[1.0, 0.75], [3.0, float("nan")]])
    stdout, _ = _run(folder, "audit", *common, *chosen, exits=exit_codes.FAILED)
    assert "a was served 0.75 (present), history has 0.5" in stdout
    _run(folder, "audit", *common, *chosen, "--max-mismatch-rate", "0.5")
    hashed = (*chosen[:-1], "unkeyed")
    _run(folder, "audit", *common, *hashed, exits=exit_codes.INCONCLUSIVE)


def _write_log(folder: Path, vectors: list[list[float]]) -> None:
    pq.write_table(
        pa.table(
            {
                "unit_key": ["a", "c"],
                "at_utc": [datetime(2026, 1, 1, 0, 0, 30, tzinfo=UTC).replace(tzinfo=None)] * 2,
                "features": pa.array(vectors, pa.list_(pa.float32())),
                "statuses": pa.array([None, [0, 5]], pa.list_(pa.uint8())),
            }
        ),
        folder / "log.parquet",
    )


def test_freshness_has_an_exit_code_for_cron_and_metrics(folder: Path) -> None:
    common = ("--views", "@@views.yaml", "--store", "lmdb:@@store")
    old = ("freshness", *common, "--max-age-s", "60")
    open_writer(f"lmdb:{folder / 'store'}").close_now()
    _run(folder, *old, exits=exit_codes.FAILED)  # nothing has been loaded yet
    load = ("load", "@@rows.parquet", *common, "--max-rejects", "1")
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    _run(folder, *load, "--event-time", now)

    found = _json(folder, *old, "--textfile", "@@metrics.prom")

    assert found["views"][0]["newest_age_s"] < 60
    assert "understudy_feature_view_newest_age_seconds" in (folder / "metrics.prom").read_text()
    _write_log(folder, [[1.0, 0.5], [3.0, float("nan")]])
    (folder / "set.txt").write_text("user@1:age\nuser@1:amount\n")
    log = ("--log", "@@log.parquet", "--feature-set", "@@set.txt")
    shares = _json(folder, "freshness", *common, *log)["features"]
    assert shares[1]["missing"] == 0.5
