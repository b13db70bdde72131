"""Slices of a comparison: by columns of the log, and by a file with texts and missing values."""

import json
import weakref
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from typer.testing import CliRunner

from stack.__main__ import app
from tests.logs.builders import AT_US, outcome_batch, score_batch, shadow_batch
from understudy.comparison.decisions.slicing import (
    ABSENT,
    MOST_VALUES,
    ByValue,
    Cut,
    by_part,
    declared_slices,
    is_number,
    places_of,
    slices_of_pairs,
    slices_of_scores,
)
from understudy.logs.writer import LogWriter
from understudy.runtime import exit_codes
from understudy.statistics.slices import Slice, find_differences, paired_difference
from understudy.statistics.units import units_of

ROWS = 1_200
COUNTRIES = ("fr", "de", "ünknown, 'quoted'", "")


@pytest.fixture(scope="module")
def log_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Log a shadow that is worse for one country in four, and on level 1."""
    root = tmp_path_factory.mktemp("logs")
    random = np.random.default_rng(1)
    labels = (random.random(ROWS) < 0.3).astype(np.float64)
    champion = np.clip(0.3 * labels + random.normal(0.35, 0.12, ROWS), 0, 1)
    is_worse = np.arange(ROWS) % 4 == 1
    noise = random.normal(0, 0.02, ROWS) + is_worse * random.normal(0, 0.4, ROWS)
    levels = is_worse.astype(np.uint8)
    with LogWriter(root) as writer:
        assert writer.offer(score_batch(ROWS, scores=champion, levels=levels, width=0))
        assert writer.offer(shadow_batch(list(champion), list(np.clip(champion + noise, 0, 1))))
        assert writer.offer(outcome_batch(list(labels)))
    return root


@pytest.fixture
def segments(tmp_path: Path) -> Path:
    file = tmp_path / "segments.csv"
    lines = ["request_id,country,age"]
    for row in range(ROWS - 10):  # the last requests are not in it
        country = COUNTRIES[row % 4]
        quoted = f'"{country}"' if country else ""
        lines.append(f"r{row},{quoted},{row % 90}")
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def run(log_dir: Path, *words: str | Path) -> tuple[int, str, str]:
    arguments = ["compare", "--log-dir", str(log_dir), "--model", "fraud", *map(str, words)]
    result = CliRunner().invoke(app, arguments)
    return result.exit_code, result.stdout, result.stderr


def test_a_worse_slice_is_named_and_others_are_not(log_dir: Path, segments: Path) -> None:
    page = segments.parent / "page.html"

    code, shown, _ = run(
        log_dir, "--slice", "country", "--slice", "age", "--slices", segments, "--page", page
    )

    assert code == exit_codes.OK
    different = [line for line in shown.splitlines() if "WORSE" in line and "country " in line]
    assert len(different) == 1
    assert " de " in different[0]
    assert "slices found by search" in shown
    assert "declared slices" in page.read_text()


def test_a_column_of_the_log_is_a_slice(log_dir: Path) -> None:
    code, shown, _ = run(log_dir, "--slice", "level")

    assert code == exit_codes.OK
    (line,) = [each for each in shown.splitlines() if "WORSE" in each and "level" in each]
    assert f" {ROWS // 4} " in line


@pytest.mark.parametrize("apart_us", [-3_000_000, 3_000_000])
def test_of_several_answers_to_a_request_the_nearest_in_time_tells_its_slice(
    tmp_path: Path, apart_us: int
) -> None:
    scores = np.linspace(0.1, 0.9, 40)
    shadows = list(scores + np.tile([0.01, 0.02, 0.0, -0.01], 10))
    with LogWriter(tmp_path) as writer:
        for at_us, level in ((AT_US + apart_us, 1), (AT_US, 0)):
            levels = np.full(40, level, np.uint8)
            assert writer.offer(score_batch(40, scores=scores, levels=levels, width=0, at_us=at_us))
        assert writer.offer(shadow_batch(list(scores), shadows))
        assert writer.offer(shadow_batch(list(scores), shadows, first=100, at_us=AT_US + apart_us))
        levels = np.full(40, 2, np.uint8)
        assert writer.offer(score_batch(40, scores=scores, levels=levels, width=0, first=100))

    code, shown, err = run(tmp_path, "--slice", "level", "--output", "json")

    assert code == exit_codes.OK, err
    found = json.loads(shown)["slices"]["declared"]["findings"]
    assert {each["value"]: each["rows"] for each in found} == {"0": 40, "2": 40}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--slice", "country"), "slice: read country; accepted: one of level, rule"),
        (("--slices", "FILE"), "at least one --slice too"),
        (("--slices", "FILE", "--slice", "town"), "town"),
        (("--slice", "level", "--arms"), "slice: read level; accepted: a column that no model"),
    ],
)
def test_slices_that_cannot_act_are_refused(
    log_dir: Path, segments: Path, words: tuple[str, ...], told: str
) -> None:
    given = [segments if word == "FILE" else word for word in words]

    code, _, err = run(log_dir, *given)

    assert code == exit_codes.USAGE
    assert told in err


def test_a_request_that_stands_twice_is_refused(log_dir: Path, tmp_path: Path) -> None:
    file = tmp_path / "twice.csv"
    file.write_text("request_id,country\nr1,fr\nr1,de\n")

    code, _, err = run(log_dir, "--slice", "country", "--slices", file)

    assert code == exit_codes.USAGE
    assert "slices.request_id: read '1 repeated values'" in err


VALUES = st.one_of(
    st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"])), min_size=1),
    st.lists(st.none() | st.floats(), min_size=1),
    st.lists(st.none() | st.integers(-(2**53), 2**53), min_size=1),
    st.lists(st.none() | st.booleans(), min_size=1),
)


@given(VALUES)
def test_each_row_is_in_one_slice_of_a_column_at_most(values: list[object]) -> None:
    column = pa.array(values)
    if is_number(column.type) and len(set(map(str, values))) > MOST_VALUES:
        numbers = np.array([np.nan if each is None else each for each in values], np.float64)
        finite = numbers[np.isfinite(numbers)]
        cut: Cut = by_part(
            np.quantile(finite, [0, 0.25, 0.5, 0.75, 1]).tolist() if finite.size else ()
        )
        places, names = places_of(numbers, cut), cut.names
    else:
        texts = [ABSENT if each is None else str(each) for each in values]
        cut = ByValue(tuple(sorted(set(texts))[:MOST_VALUES]))
        places, names = places_of(pa.array(texts), cut), cut.names

    assert len(places) == len(values)
    chosen = [each.chosen for each in declared_slices({"column": (places, names)})]
    assert np.sum(chosen, axis=0).max() == 1
    assert all(each.any() for each in chosen)
    absent = [value is None for value in values]
    if any(absent) and ABSENT in names and not isinstance(cut, ByValue):
        assert (places[np.array(absent)] == names.index(ABSENT)).all()


def odd_columns() -> dict[str, pa.Array]:
    """Return columns of the types that an analyst's Parquet file may have."""
    rows = range(ROWS)
    return {
        "text": pa.array(["ü" if row % 3 else None for row in rows]),
        "absent": pa.nulls(ROWS, pa.string()),
        "untyped": pa.nulls(ROWS),
        "claim": pa.array([None if row % 5 == 0 else bool(row % 2) for row in rows]),
        "of_large_numbers": pa.array([2**63 - 1 - row for row in rows]),
        "unsigned": pa.array([2**64 - 1 - row for row in rows], pa.uint64()),
        "not_finite": pa.array([[np.nan, np.inf, -np.inf, float(row)][row % 4] for row in rows]),
        "list": pa.array([[row % 3] for row in rows]),
        "struct": pa.array([{"a": row % 2} for row in rows]),
        "bytes": pa.array([b"\xff\x00" if row % 2 else b"a" for row in rows]),
        "coded": pa.array([str(row % 30) for row in rows]).dictionary_encode(),
        "time, zoned": pa.array([row % 2 for row in rows], pa.timestamp("us", tz="Asia/Tokyo")),
        'quoted "name"': pa.array([str(row % 2) for row in rows]),
    }


def test_columns_of_any_type_are_slices(log_dir: Path, tmp_path: Path) -> None:
    columns = odd_columns()
    ids = pa.array([f"r{row}" for row in range(ROWS)])
    pq.write_table(pa.table({"request_id": ids, **columns}), tmp_path / "odd.parquet")
    words = [word for name in columns for word in ("--slice", name)]

    code, shown, err = run(
        log_dir, *words, "--slices", tmp_path / "odd.parquet", "--output", "json"
    )

    assert code == exit_codes.OK, err
    found = json.loads(shown)["slices"]["declared"]["findings"]
    rows = {
        (each["column"], each["value"]): each["rows"]
        for each in found
        if "time" not in each["column"]
    }
    by_column = {name: [v for c, v in rows if c == name] for name in columns}
    assert sorted(by_column["text"]) == [ABSENT, "ü"]
    assert by_column["absent"] == by_column["untyped"] == [ABSENT]
    assert sorted(by_column["claim"]) == [ABSENT, "false", "true"]
    assert sum(rows["list", value] for value in by_column["list"]) == ROWS
    assert by_column["of_large_numbers"]
    assert by_column["unsigned"]
    assert rows["not_finite", ABSENT] == ROWS * 3 // 4
    assert len(by_column["coded"]) == 20
    assert len(by_column['quoted "name"']) == 2


def test_slices_are_chosen_one_at_a_time() -> None:
    chosen: list[weakref.ref[NDArray[np.bool_]]] = []
    places = (np.arange(4_000) % 20).astype(np.int8)
    columns = {name: (places, tuple(map(str, range(20)))) for name in ("one", "two")}

    def watched() -> Iterator[Slice]:
        scores = np.arange(4_000.0), np.arange(4_000.0)
        for each in chain(slices_of_scores(scores), slices_of_pairs(columns)):
            chosen.append(weakref.ref(each.chosen))
            yield each

    units = units_of(np.arange(4_000))
    find_differences(watched(), paired_difference(np.ones(4_000), units, is_against_rest=False))

    assert len(chosen) > 20
    assert sum(each() is not None for each in chosen) <= 1
