"""Malformed and unusual files of outcomes: an import ends with an answer or a fault, and all or nothing."""

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from tests.features.test_odd_files import COLUMNS, CONTENTS, NOON, is_ours
from understudy.comparison.cli.commands import app
from understudy.logs.reader import open_logs
from understudy.runtime import exit_codes

GOOD = {
    "request_id": pa.array(["r1", "r2"]),
    "label": pa.array([0.0, 1.0]),
    "seen": pa.array([NOON, NOON], pa.timestamp("us", tz="UTC")),
}
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=4,
)
FUZZ = settings(max_examples=8, suppress_health_check=list(HealthCheck), deadline=None)
LONG = settings(FUZZ, max_examples=100)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("odd-outcomes")


odd_columns = given(
    odd=st.dictionaries(st.sampled_from(list(GOOD)), st.sampled_from(list(COLUMNS)), max_size=2),
    lost=st.sampled_from([None, None, *GOOD]),
    more=st.sampled_from([None, "label", "LABEL", "Request_Id", "request_id", "a.b", ""]),
    rows=st.sampled_from([2, 2, 0]),
)


@FUZZ
@odd_columns
def test_odd_columns_end_in_an_answer_or_a_fault(
    folder: Path, odd: dict[str, str], lost: str | None, more: str | None, rows: int
) -> None:
    _try_columns(folder, odd, lost, more, rows)


@pytest.mark.long
@LONG
@odd_columns
def test_many_odd_columns_end_in_an_answer_or_a_fault(
    folder: Path, odd: dict[str, str], lost: str | None, more: str | None, rows: int
) -> None:
    _try_columns(folder, odd, lost, more, rows)


@FUZZ
@given(
    lines=st.lists(
        JSON_VALUES | st.fixed_dictionaries({"request_id": JSON_VALUES, "label": JSON_VALUES}),
        max_size=3,
    )
)
def test_odd_values_in_json_end_in_an_answer_or_a_fault(folder: Path, lines: list[Any]) -> None:
    path = folder / "odd.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")

    _import(folder, path)


@pytest.mark.parametrize("number", ["1e400", "-0.0", "1e-400", "1e5000", "1e999999999999999999999"])
@pytest.mark.parametrize("name", ["request_id", "label"])
def test_numbers_of_any_size_end_in_an_answer_or_a_fault(
    folder: Path, name: str, number: str
) -> None:
    path = folder / "number.json"
    others = {"request_id": '"r"', "label": "1"} | {name: number}
    path.write_text("{" + ", ".join(f'"{key}": {text}' for key, text in others.items()) + "}")

    _import(folder, path)


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl", "json"])
@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_odd_bytes_end_in_an_answer_or_a_fault(folder: Path, content: bytes, suffix: str) -> None:
    path = folder / f"bytes.{suffix}"
    path.write_bytes(content)

    _import(folder, path)


def _try_columns(
    folder: Path, odd: dict[str, str], lost: str | None, more: str | None, rows: int
) -> None:
    columns = GOOD | {name: COLUMNS[kind] for name, kind in odd.items()}
    columns = {name: each.slice(0, rows) for name, each in columns.items() if name != lost}
    names = [*columns, *([] if more is None else [more])]
    arrays = [*columns.values(), *([] if more is None else [GOOD["label"].slice(0, rows)])]
    path = folder / "odd.parquet"
    pq.write_table(pa.table(arrays, names=names), path)

    _import(folder, path)
    _import(folder, path, "--observed-at", "seen")


def _import(folder: Path, path: Path, *options: str) -> None:
    logs = folder / "logs"
    shutil.rmtree(logs, ignore_errors=True)  # or counting would take longer with each example
    words = ["outcomes", "import", str(path), "--log-dir", str(logs), "--model", "fraud", *options]
    result = CliRunner().invoke(app, [*words, "--output", "json"])
    assert is_ours(result), (result.exception, result.output)
    assert result.exit_code in {exit_codes.FAILED, exit_codes.USAGE}, result.output
    if result.exit_code == exit_codes.FAILED:  # there is no score log, so no outcome matches
        assert _logged(logs) == json.loads(result.stdout)["imported"]
    else:
        assert result.stderr
        assert _logged(logs) == 0


def _logged(logs: Path) -> int:
    if not logs.is_dir():
        return 0
    with open_logs(logs) as reader:
        [row] = reader.rows("SELECT count(*) AS n FROM outcomes")
        return int(row["n"])
