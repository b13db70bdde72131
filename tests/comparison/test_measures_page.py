"""Every measure that a comparison shows has its words, and no other does."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.logs.builders import Share, outcome_batch, score_batch, shadow_batch
from understudy.comparison.compare import compare
from understudy.comparison.compare_arms import compare_live_arms
from understudy.comparison.evidence.rows import Question
from understudy.comparison.plan import Plan
from understudy.comparison.render import arm_texts, texts
from understudy.domain.margins import Costs, Measure
from understudy.logs.writer import LogWriter

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "measures.md"
SPLIT = (Share("champion", 7, 5_000), Share("challenger", 9, 5_000))
ROWS = 400
PLAN = Plan(threshold=0.5, costs=Costs(1, 5))


def named(section: str = "") -> set[str]:
    """Return the first cells of the tables of a section, or of all but the one of margins."""
    text = PAGE.read_text()
    _, *parts = re.split(r"^## ", text, flags=re.MULTILINE)
    chosen = [part for part in parts if part.startswith(section or ("R", "S", "D", "O", "L"))]
    cells = [
        re.split(r"(?<!\\)\|", line)[1].strip().replace("\\|", "|")
        for part in chosen
        for line in part.splitlines()
        if line.startswith("|") and not line.startswith(("| ---", "| line", "| measure |"))
    ]
    return set(cells)


@pytest.fixture(scope="module")
def log_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Log two models: one whose outcomes are classes, and one whose outcomes are numbers."""
    root = tmp_path_factory.mktemp("logs")
    random = np.random.default_rng(1)
    champion, shadow = random.random((2, ROWS))
    champion[0] = 1.000001
    labels = (random.random(ROWS) < champion).astype(np.float64)
    seats = (np.arange(ROWS) % 2).astype(np.uint16)
    with LogWriter(root) as writer:
        for model, outcomes in (("fraud", labels), ("price", labels + 0.5)):
            for batch in (
                score_batch(ROWS, scores=champion, split=SPLIT, seats=seats, width=0, model=model),
                shadow_batch(list(champion), list(shadow), model=model),
                shadow_batch(list(champion), list(champion), shadow_version=7, model=model),
                outcome_batch(list(outcomes), model=model),
            ):
                assert writer.offer(batch)
    return root


def shown(log_dir: Path, model: str) -> Iterator[str]:
    """Return the first cells of all lines of both reports."""
    report = compare(log_dir, Question(model), PLAN)
    for _, facts in texts.fact_tables(report):
        yield from (name for name, _ in facts)
    for _, rows in texts.measure_tables(report):
        yield from (row[0] for row in rows)
    arms = compare_live_arms(log_dir, Question(model), PLAN)
    yield from (name for name, _ in arm_texts.arm_facts(arms))
    for _, of_arms in arm_texts.measure_tables(arms):
        yield from (row[0] for row in of_arms)


def test_each_line_of_a_report_has_its_words(log_dir: Path) -> None:
    lines = {*shown(log_dir, "fraud"), *shown(log_dir, "price")}
    plain = {re.sub(r" \(.*", "", line) for line in lines if not line.startswith("version ")}

    assert plain - named() == set()
    others = {"REFUSED", "warning", "calibration", "latency of a version", "sample ratio"}
    of_tables = {"declared slices", "slices found by search", "largest differences"}
    of_tables |= {"differences by day", "bands of the curves", "whiskers of the calibration"}
    assert named() - plain == others | of_tables  # shown by other logs and options


def test_each_measure_that_may_have_a_margin_has_its_line() -> None:
    assert named("Measures that may") == {f"`{measure.value}`" for measure in Measure}
