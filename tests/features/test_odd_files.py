"""Malformed and unusual files: a command ends with an answer or a fault in lines, not a traceback."""

import json
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from understudy.features.cli.commands import app
from understudy.runtime import exit_codes

BUG = "a bug in Understudy"
NOON = datetime(2025, 11, 1, 12, tzinfo=UTC)
NOT_UTF8 = pa.Array.from_buffers(
    pa.string(),
    2,
    [None, pa.py_buffer(pa.array([0, 1, 2], pa.int32()).buffers()[1]), pa.py_buffer(b"a\xff")],
)
DEEP = pa.list_(pa.list_(pa.struct([("a", pa.list_(pa.string()))])))
COLUMNS = {
    "nested": pa.array([[[{"a": ["x"]}], []], None], DEEP),
    "large text": pa.array(["u1", None], pa.large_string()),
    "unsigned": pa.array([2**64 - 1, None], pa.uint64()),
    "time of day": pa.array([1, None], pa.time64("ns")),
    "text": pa.array(["u1", "2025-11-01"]),
    "not utf-8": NOT_UTF8,
    "bytes": pa.array([b"\xff", None]),
    "integer": pa.array([1, None], pa.int64()),
    "half": pa.array([1, 2], pa.int32()).cast(pa.float16()),
    "double": pa.array([1.5, float("nan")]),
    "decimal": pa.array([Decimal("1e30"), Decimal(-1)], pa.decimal256(50, 3)),
    "flag": pa.array([True, None]),
    "null": pa.nulls(2),
    "list": pa.array([[1], None]),
    "fixed": pa.array([[1.0, 2.0], [3.0, 4.0]], pa.list_(pa.float32(), 2)),
    "struct": pa.array([{"a": 1}, None]),
    "map": pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int64())),
    "dictionary": pa.array(["u1", None]).dictionary_encode(),
    "view": pa.array(["u1", "x"], pa.string_view()),
    "moment": pa.array([NOON, None], pa.timestamp("us", tz="UTC")),
    "beyond python": pa.array([2**60, -(2**60)], pa.timestamp("ms")),
    "nanoseconds": pa.array([1, 2**62], pa.timestamp("ns")),
    "another zone": pa.array([0, 1], pa.timestamp("ms", tz="+05:30")),
    "clock": pa.array([time(1), None]),
    "duration": pa.array([timedelta(1), None]),
    "date": pa.array([0, 2**31 - 1], pa.date32()),
    "uuid": pa.array([b"x" * 16, None], pa.uuid()),
}
GOOD = {
    "user": pa.array(["u1", "u2"]),
    "event_time": pa.array([NOON, NOON], pa.timestamp("us", tz="UTC")),
    "n": pa.array([1, 2]),
    "s": pa.array(["a", "b"]),
    "unit_key": pa.array(["u1", "u2"]),
    "at_utc": pa.array([NOON, NOON], pa.timestamp("us", tz="UTC")),
    "features": pa.array([[1.0, 2.0], [1.0, 2.0]], pa.list_(pa.float32())),
    "statuses": pa.array([[0, 0], None], pa.list_(pa.uint8())),
}
CONTENTS = {
    "empty": b"",
    "PAR1": b"PAR1PAR1",
    "UTF-16": "user,event_time,n,s\nu1,2025-11-01,1,a\n".encode("utf-16"),
    "Latin-1": "user,event_time,n,s\nü,2025-11-01,1,ü\n".encode("latin-1"),
    "NUL": b"user,event_time,n,s\n\0,\0,\0,\0\n",
    "quotes": b'user,event_time,n,s\n"u1,2025-11-01,1,a\n',
    "twice": b"user,user,event_time,n,s\nu1,u2,2025-11-01,1,a\n",
    "head only": b"user,event_time,n,s\n",
    "head with quotes": b'"user","event_time",n,"s\n',
    "JSON": b'{"user": "u1"}\n',
    "semicolons": b"user;event_time;n;s\nu1;2025-11-01;1;a\n",
    "Excel's first line": b"sep=,\nuser,event_time,n,s\nu1,2025-11-01,1,a\n",
    "lone returns": b"user,event_time,n,s\ru1,2025-11-01,1,a\r",
    "line in quotes": b'\xef\xbb\xbfuser,event_time,n,s\r\nu1,2025-11-01,1,"a\r\nb"\r\n',
    "spaces": b"user, event_time, n, s\nu1, 2025-11-01, 1, a\n",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("odd")
    (folder / "views.yaml").write_text(
        "views: [{name: user, version: 1, entity: user, features: "
        "[{name: n, dtype: int64}, {name: s, dtype: string}]}]"
    )
    _write(folder / "good.parquet", dict(GOOD), [])
    return folder


def _write(path: Path, columns: dict[str, pa.Array], more: list[tuple[str, pa.Array]]) -> None:
    names = [*columns, *(name for name, _ in more)]
    arrays = [*columns.values(), *(array for _, array in more)]
    pq.write_table(pa.table(arrays, names=names), path)


def is_ours(result: Result) -> bool:
    """Return whether a command ended with an answer or errors of ours."""
    is_caught = result.exception is None or isinstance(result.exception, SystemExit)
    # A command group reports an unexpected exception in a line, and with the code of a failure.
    return is_caught and BUG not in result.output


FUZZ = settings(max_examples=12, suppress_health_check=list(HealthCheck), deadline=None)
odd_columns = given(
    odd=st.dictionaries(st.sampled_from(list(GOOD)), st.sampled_from(list(COLUMNS)), max_size=2),
    lost=st.sampled_from([None, *GOOD]),
    more=st.sampled_from([None, "user", "USER", "N", "n", "Features", "features", "a.b", ""]),
    rows=st.sampled_from([2, 2, 0]),
)


@FUZZ
@odd_columns
def test_odd_columns_end_in_an_answer_or_a_fault(
    folder: Path, odd: dict[str, str], lost: str | None, more: str | None, rows: int
) -> None:
    _try_columns(folder, odd, lost, more, rows)


@pytest.mark.long
@settings(FUZZ, max_examples=30)
@odd_columns
def test_many_odd_columns_end_in_an_answer_or_a_fault(
    folder: Path, odd: dict[str, str], lost: str | None, more: str | None, rows: int
) -> None:
    _try_columns(folder, odd, lost, more, rows)


@pytest.mark.parametrize("content", [*CONTENTS.values(), b"user@1:n\xff", b"\xef\xbb\xbfuser@1:n"])
def test_odd_lists_of_features_end_in_an_answer_or_a_fault(folder: Path, content: bytes) -> None:
    path, good, out = folder / "features.txt", folder / "good.parquet", folder / "out.parquet"
    path.write_bytes(content)

    _run(folder, "history", good, out, "--history", f"user@1={good}", "--feature-set", path)


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_odd_definitions_end_in_a_fault(folder: Path, content: bytes) -> None:
    path = folder / "odd.yaml"
    path.write_bytes(content)

    result = CliRunner().invoke(app, ["validate", str(path)])

    assert is_ours(result), result.output
    assert result.exit_code == exit_codes.FAILED


def _try_columns(
    folder: Path, odd: dict[str, str], lost: str | None, more: str | None, rows: int
) -> None:
    columns = GOOD | {name: COLUMNS[kind] for name, kind in odd.items()}
    columns = {name: each.slice(0, rows) for name, each in columns.items() if name != lost}
    path = folder / "odd.parquet"
    _write(path, columns, [(more, GOOD["n"].slice(0, rows))] if more else [])

    _run_all(folder, path)


@pytest.mark.parametrize("suffix", ["csv", "parquet", "tsv"])
@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_odd_bytes_end_in_an_answer_or_a_fault(folder: Path, content: bytes, suffix: str) -> None:
    path = folder / f"bytes.{suffix}"
    path.write_bytes(content)

    _run_all(folder, path)


def _run_all(folder: Path, path: Path) -> None:
    good, out, history = folder / "good.parquet", folder / "out.parquet", "user@1="
    store = ("--store", f"lmdb:{folder / 'store'}")
    _run(folder, "load", path, "--store", f"lmdb:{folder / 'odd store'}")
    _run(folder, "history", good, out, "--history", f"{history}{path}")
    _run(folder, "history", path, out, "--history", f"{history}{good}")
    _run(folder, "audit", "--log", path, "--history", f"{history}{good}", "--log-ids", "plain")
    _run(folder, "audit", "--log", good, "--history", f"{history}{path}", "--log-ids", "plain")
    _run(folder, "load", good, *store)
    told = _run(folder, "freshness", *store, "--log", path, "--output", "json")
    assert not told or "views" in json.loads(told)


def _run(folder: Path, *arguments: Any) -> str:
    views = ("--views", folder / "views.yaml")
    result = CliRunner().invoke(app, [*map(str, arguments), *map(str, views)])
    assert is_ours(result), (arguments[0], result.exception, result.output)
    ends = {exit_codes.OK, exit_codes.FAILED, exit_codes.USAGE, exit_codes.INCONCLUSIVE}
    ends.add(exit_codes.UNAVAILABLE)  # a store's reader that a busy machine has not started yet
    assert result.exit_code in ends, result.output
    assert result.exit_code == exit_codes.OK or result.stderr
    return result.stdout if result.exit_code in {exit_codes.OK, exit_codes.FAILED} else ""
