"""Loading of CSV: all fields are text, checked one by one, and a broken row costs no other."""

from pathlib import Path
from typing import Any

import pytest

from tests.features.builders import MIXED, NOW_MS, a_view
from tests.features.fakes import FakeFeatureStore
from understudy.domain.errors import InvalidInputError
from understudy.domain.features import Feature, FeatureDtype
from understudy.features.decisions.record_format import record_format, unpack_record
from understudy.features.decisions.row_values import Reject
from understudy.features.loading.load_features import LoadProgress, SourceFile, load_features

VIEW = a_view("user", MIXED)
PLACES = a_view("place", (Feature("country", FeatureDtype.STRING), *MIXED[:2]))
HEAD = "user,country,age,amount\n"


def _load(
    path: Path, store: FakeFeatureStore, *, chunk_rows: int = 8192
) -> tuple[list[LoadProgress], list[Reject]]:
    rejects: list[Reject] = []
    steps: list[LoadProgress] = []
    load_features(
        SourceFile(path, "user", NOW_MS),
        PLACES,
        store,
        chunk_rows=chunk_rows,
        on_reject=rejects.append,
        on_progress=steps.append,
    )
    return steps, rejects


def _values(store: FakeFeatureStore, entity_id: str) -> dict[str, Any]:
    return unpack_record(record_format(PLACES), store.records[str(PLACES), entity_id])


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        *(
            (f"{text},{text},1,1", {"country": text, "age": 1, "amount": 1.0})
            for text in ("NA", "N/A", "null", "NULL", "nan", "NaN", "None", "#N/A", "-")
        ),
        *(
            (f"a,,{field},{field}", {"country": None, "age": None, "amount": None})
            for field in ("", '""', "nan", "NaN", "NAN")
        ),
        (f"a,x,{2**62 + 1},1e2", {"country": "x", "age": 2**62 + 1, "amount": 100.0}),
    ],
)
def test_only_an_empty_field_or_a_numeric_nan_is_absent(
    tmp_path: Path, row: str, expected: dict[str, Any]
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(f"{HEAD}{row}\n")
    store = FakeFeatureStore()

    _, rejects = _load(path, store)

    assert not rejects
    assert _values(store, row.partition(",")[0]) == expected


@pytest.mark.parametrize("field", ["NA", "null", "N/A", "inf", "-"])
def test_text_that_is_not_a_number_rejects_its_row(tmp_path: Path, field: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(f"{HEAD}a,x,{field},1\nb,x,1,{field}\n")

    _, rejects = _load(path, FakeFeatureStore())

    assert [(each.row, each.column) for each in rejects] == [(0, "age"), (1, "amount")]


def test_chunks_have_the_requested_number_of_rows(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(HEAD + "".join(f"u{number},x,1,1\n" for number in range(23)))

    steps, _ = _load(path, FakeFeatureStore(), chunk_rows=10)

    assert [step.rows for step in steps] == [10, 20, 23]


def test_rows_with_a_different_number_of_columns_are_rejected_and_the_others_loaded(
    tmp_path: Path,
) -> None:
    path = tmp_path / "rows.csv"
    broken = {0, 7, 8, 9, 24}
    rows = [
        "u, with a comma,x,1,1\n" if number in broken else f"u{number},x,1,{number % 10 * 1e38}\n"
        for number in range(25)
    ]
    path.write_text(HEAD + "\n" + "".join(rows))  # empty lines are not rows
    store = FakeFeatureStore()

    steps, rejects = _load(path, store, chunk_rows=6)
    again, same_rejects = _load(path, store, chunk_rows=6)

    too_large = {number for number in range(25) if number % 10 > 3} - broken
    assert {each.row for each in rejects if each.column == "(row)"} == broken
    assert {each.row for each in rejects if each.column == "amount"} == too_large
    assert rejects[0] == Reject(0, "(row)", "5 columns: u, with a comma,x,1,1", "4 columns")
    assert (steps[-1].rows, steps[-1].rejected) == (25, len(broken | too_large))
    assert {entity_id for _, entity_id in store.records} == {
        f"u{number}" for number in set(range(25)) - broken - too_large
    }
    assert same_rejects == rejects
    assert (again[-1].written, again[-1].rows) == (0, 25)


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_header_may_have_a_byte_order_mark_and_any_letters(tmp_path: Path, mark: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(f"{mark}Schlüssel,country,age,amount\nä🦊,Ö,1,1\n", encoding="utf-8")
    store = FakeFeatureStore()

    load_features(
        SourceFile(path, "Schlüssel", NOW_MS),
        PLACES,
        store,
        on_reject=lambda _: None,
        on_progress=lambda _: None,
    )

    assert _values(store, "ä🦊") == {"country": "Ö", "age": 1, "amount": 1.0}


def test_invalid_utf_8_rejects_its_row(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    rows = [b"a,x,1,1", b"b,\xfc\xff,1,\xff", b"c,\xff", b"\xff,x,1,1", b"d,\xc3\xbc,1,1"]
    path.write_bytes(HEAD.encode() + b"\n".join(rows))
    store = FakeFeatureStore()

    steps, rejects = _load(path, store, chunk_rows=3)

    assert [entity_id for _, entity_id in store.records] == ["a", "d"]
    assert _values(store, "d")["country"] == "ü"
    assert {(each.row, each.column) for each in rejects} == {
        (1, "country"),
        (1, "amount"),
        (2, "(row)"),
        (3, "user"),
    }
    assert (steps[-1].rows, steps[-1].rejected) == (5, 3)


def test_a_file_of_only_broken_rows_is_reported_row_by_row(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(HEAD + "a\nb\n")

    steps, rejects = _load(path, FakeFeatureStore())

    assert [each.row for each in rejects] == [0, 1]
    assert (steps[-1].rows, steps[-1].rejected, steps[-1].written) == (2, 2, 0)


def test_a_file_with_another_separator_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(HEAD + "a;b;c;d\n" * 10_001)

    with pytest.raises(InvalidInputError, match="Expected 4 columns"):
        _load(path, FakeFeatureStore())


def test_a_row_of_the_largest_record_size_is_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    text = "x" * 1024 * 1024
    path.write_text(HEAD + f"a,{text},1,1\nb,{text},1,1\nc,{text},1,1\nd,{text},1,1\ne,,1,1\n")
    store = FakeFeatureStore()

    _load(path, store)

    assert [_values(store, each)["country"] for each in "ad"] == [text, text]
    assert len(store.records) == 5


def test_line_breaks_in_quotes_are_read_wherever_the_parser_cuts_the_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    lines = "\r\n".join(["x" * 99] * 10_000)  # a block of the parser ends in one of these values
    rows = "".join(f'{name},"{lines}",1,1\n' for name in "abcdefgh")
    path.write_bytes(f"{HEAD}{rows}i, with a comma,x,1,1\n".encode())
    store = FakeFeatureStore()

    _, rejects = _load(path, store)

    assert [_values(store, each)["country"] for each in "abcdefgh"] == [lines] * 8
    assert [(each.row, each.column) for each in rejects] == [(8, "(row)")]


def test_csv_is_read_as_text_and_checked_value_by_value(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(
        "user,event_time,age,amount,balance,is_new,country,city\n"
        f"007,2025-11-24T16:00:00Z,{2**62 + 1},1e2,,true,LI,x\n"
        "008,2025-11-24 16:00:00,3.5,1,1,0,LI,x\n"
        "009,yesterday,3,oops,1,1,LI,x\n"
        "010,2025-11-24,3,1,1,1,,\n"
    )
    store = FakeFeatureStore()

    rejects: list[Reject] = []
    done = load_features(
        SourceFile(path, "user"),
        VIEW,
        store,
        on_reject=rejects.append,
        on_progress=lambda _: None,
    )

    assert done.rejected == 2
    assert {(each.row, each.column) for each in rejects} == {
        (1, "age"),
        (2, "event_time"),
        (2, "amount"),
    }
    assert _of_view(store, "007")["age"] == 2**62 + 1
    assert _of_view(store, "007")["amount"] == 100.0
    assert _of_view(store, "007")["is_new"] is True
    assert _of_view(store, "010")["country"] is None


def _of_view(store: FakeFeatureStore, entity_id: str) -> dict[str, Any]:
    return unpack_record(record_format(VIEW), store.records[str(VIEW), entity_id])
