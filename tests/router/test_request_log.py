"""Lines per request: which ones are written, always for failures, and limited in a flood."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from router.books.bounded_lines import BoundedLines, RefusalLines
from router.books.request_log import RequestLines, RequestLogLines
from tests.router.samples import MODEL, VIEW
from tests.router.world import open_world, two_arms
from understudy.domain.errors import InvalidInputError, OverloadedError, UnavailableError
from understudy.domain.features import Feature, FeatureDtype
from understudy.domain.line_budget import LineBudget

pytestmark = pytest.mark.virtual_time
Lines = list[Any]


def of(event: str, lines: Lines) -> Lines:
    return [line for line in lines if line["event"] == event]


def lines_at_once(mode: RequestLines) -> RequestLogLines:
    """Return lines for which time stands still."""
    return RequestLogLines(mode, 1, now_s=lambda: 0.0)


async def lines_of_healthy_requests(lines: RequestLines, *, count: int, sample_bp: int) -> Lines:
    async with open_world(request_log=RequestLogLines(lines, sample_bp)) as world:
        await two_arms(world, challengers=())
        with capture_logs() as written:
            for index in range(count):
                await world.score(f"u{index % 60}", request_id=f"r{index}")
    return of("request_scored", written)


async def test_off_writes_nothing_about_healthy_requests() -> None:
    assert await lines_of_healthy_requests(RequestLines.OFF, count=20, sample_bp=10_000) == []


async def test_all_writes_a_line_for_each_request() -> None:
    lines = await lines_of_healthy_requests(RequestLines.ALL, count=20, sample_bp=1)

    assert [line["request_id"] for line in lines] == [f"r{index}" for index in range(20)]
    assert {(line["log_level"], line["degradation"], line["arm"]) for line in lines} == {
        ("info", "L0", "champion")
    }


async def test_sampled_writes_the_same_requests_each_time() -> None:
    first, again = [
        await lines_of_healthy_requests(RequestLines.SAMPLED, count=200, sample_bp=2_000)
        for _ in range(2)
    ]

    assert [line["request_id"] for line in first] == [line["request_id"] for line in again]
    assert 15 < len(first) < 70


@pytest.mark.parametrize("mode", list(RequestLines))
async def test_a_degraded_answer_leaves_a_line_in_every_mode(mode: RequestLines) -> None:
    async with open_world(request_log=RequestLogLines(mode, 1)) as world:
        await two_arms(world, challengers=())
        with capture_logs() as written:
            await world.score("nobody")

    (line,) = of("request_scored", written)
    assert (line["log_level"], line["degradation"]) == ("warning", "L1")
    assert "features_defaulted" in line["reasons"]


async def test_a_candidate_that_is_degraded_leaves_its_call_a_line() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=())
        with capture_logs() as written:
            await world.score_batch(["u1", "u2", "nobody"])

    (line,) = of("request_scored", written)
    assert (line["degradation"], line["rows"]) == ("L1", 3)


@pytest.mark.parametrize("mode", list(RequestLines))
async def test_a_request_without_an_answer_leaves_a_line_in_every_mode(mode: RequestLines) -> None:
    async with open_world(request_log=RequestLogLines(mode, 1)) as world:
        await two_arms(world, challengers=())
        world.scorers["one"].failing = True
        with capture_logs() as written, pytest.raises(UnavailableError):
            await world.score("u1", request_id="r-lost")

    (line,) = of("request_failed", written)
    assert (line["log_level"], line["request_id"], line["model"]) == ("error", "r-lost", MODEL)
    assert (line["error"], line["cause"]) == ("UnavailableError", "scorer_unavailable")
    assert line["tried"] == ["champion"]
    assert line["latency_ms"] >= 0


async def test_a_flood_of_degraded_answers_writes_few_lines_unless_all_are_configured() -> None:
    written_by_mode = {}
    for mode in (RequestLines.OFF, RequestLines.ALL):
        async with open_world(request_log=lines_at_once(mode)) as world:
            await two_arms(world, challengers=())
            calls = [partial(world.submit, f"nobody-{index}") for index in range(40)]
            with capture_logs() as written:
                await world.score_together("one", *calls)
        degraded = [line for line in written if line["log_level"] == "warning"]
        written_by_mode[mode] = len(of("request_scored", degraded))

    assert written_by_mode == {RequestLines.OFF: 10, RequestLines.ALL: 40}


async def test_records_of_another_definition_write_one_line_for_many_batches() -> None:
    other = replace(VIEW, features=(*VIEW.features, Feature("new", FeatureDtype.FLOAT32)))
    async with open_world(request_log=lines_at_once(RequestLines.OFF)) as world:
        await two_arms(world, challengers=())
        world.store.put(other, "u7", {"amount": 7.0, "count": 1.0, "new": 1.0})
        with capture_logs() as written:
            for _ in range(5):
                await world.score("u7")

    assert len(of("records_of_another_definition", written)) == 1


class Later:
    """Collects callbacks, and calls them when told to."""

    def __init__(self) -> None:
        self.kept: list[Callable[[], None]] = []

    def __call__(self, delay_s: float, callback: Callable[[], None]) -> None:
        assert delay_s == 1.0
        self.kept.append(callback)

    def come(self) -> None:
        for callback in self.kept:
            callback()
        self.kept.clear()


def test_omitted_lines_are_reported_once_and_the_next_second_writes_again() -> None:
    now_s = [0.0]
    later = Later()
    lines = BoundedLines("trouble", 3, now_s=lambda: now_s[0], call_later=later)

    first = [lines.allowed(2) for _ in range(3)]
    assert len(later.kept) == 1
    now_s[0] = 1.0
    with capture_logs() as written:
        later.come()
    after = lines.allowed(2)

    assert (first, after) == ([2, 1, 0], 2)
    assert [(line["of"], line["lines"]) for line in written] == [("trouble", 3)]
    assert later.kept == []


def test_refusals_are_reported_once_a_second_by_class() -> None:
    later = Later()
    lines = RefusalLines(call_later=later)

    for _ in range(500):
        lines.count(OverloadedError("router", retry_after_ms=5))
    lines.count(InvalidInputError.of("model", read="", accepted="a name"))
    lines.count(UnavailableError("scorer", "it has a line of its own"))
    with capture_logs() as written:
        later.come()
        later.come()

    (line,) = written
    assert (line["event"], line["OverloadedError"], line["InvalidInputError"]) == (
        "calls_refused",
        500,
        1,
    )
    assert "UnavailableError" not in line


@given(
    most=st.integers(1, 20),
    asked=st.lists(st.tuples(st.integers(0, 30), st.floats(0, 3)), max_size=30),
)
def test_no_window_writes_more_than_its_budget_and_nothing_is_lost(
    most: int, asked: list[tuple[int, float]]
) -> None:
    budget = LineBudget(most)
    now_s = 0.0
    written: list[tuple[float, int]] = []
    for lines, passed_s in asked:
        now_s += passed_s
        budget, allowed = budget.spend(lines, now_s)
        written.append((budget.began_s, allowed))

    by_window: dict[float, int] = {}
    for began_s, allowed in written:
        by_window[began_s] = by_window.get(began_s, 0) + allowed
    assert all(lines <= most for lines in by_window.values())
    assert sum(lines for lines, _ in asked) == sum(n for _, n in written) + budget.left_out
