"""Slices of a comparison: by columns of the log, and by a file with texts and missing values."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from stack.__main__ import app
from tests.logs.builders import outcome_batch, score_batch, shadow_batch
from understudy.comparison.decisions.slicing import ABSENT, codes_of, declared_slices
from understudy.logs.writer import LogWriter
from understudy.runtime import exit_codes

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


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--slice", "country"), "slice: read country; accepted: one of level, rule"),
        (("--slices", "FILE"), "at least one --slice too"),
        (("--slices", "FILE", "--slice", "town"), "town"),
        (("--slices", "FILE", "--slice", "country", "--arms"), "slice: read"),
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
    places, names = codes_of(pa.array(values))

    assert len(places) == len(values)
    chosen = [each.chosen for each in declared_slices({"column": (places, names)})]
    assert np.sum(chosen, axis=0).max() == 1
    assert all(each.any() for each in chosen)
    absent = [value is None for value in values]
    if any(absent) and ABSENT in names:
        assert (places[np.array(absent)] == names.index(ABSENT)).all()
