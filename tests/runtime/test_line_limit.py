"""The log lines of one event are limited, and those left out are counted in a later line."""

import json
import logging
import subprocess
import sys
from collections.abc import Callable, MutableMapping
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from understudy.runtime.line_limit import LEFT_OUT, MOST_LINES_PER_S, LibraryLines, LineLimit

FLOOD = """
import logging, structlog
from understudy.runtime.logs import configure_logs
configure_logs("registry")
log = structlog.get_logger()
for number in range(10_000):
    try:
        raise KeyError(number)
    except KeyError as error:
        log.error("rpc_failed", rpc="Watch", exc_info=error)
    logging.getLogger("grpc").error("Unexpected %d", number)
log.info("drained")
"""


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def write(limit: LineLimit, event: str) -> MutableMapping[str, Any] | None:
    try:
        return limit(None, "info", {"event": event})
    except structlog.DropEvent:
        return None


def test_a_flood_of_one_event_leaves_the_lines_of_others_and_is_counted_in_the_next() -> None:
    limit = LineLimit(now_s=Clock())
    flood = [write(limit, "call_refused") for _ in range(500)]

    other = write(limit, "drained")

    assert sum(line is not None for line in flood) == MOST_LINES_PER_S
    assert other == {"event": "drained", LEFT_OUT: {"call_refused": 500 - MOST_LINES_PER_S}}
    assert write(limit, "drained") == {"event": "drained"}


def test_each_second_has_its_own_lines() -> None:
    clock = Clock()
    limit = LineLimit(now_s=clock)
    for _ in range(MOST_LINES_PER_S):
        write(limit, "call_refused")
    clock.now_s = 1.0

    assert write(limit, "call_refused") == {"event": "call_refused"}


def test_events_that_an_operator_asked_for_have_no_limit() -> None:
    limit = LineLimit(unlimited=["request_scored"], now_s=Clock())

    assert all(write(limit, "request_scored") for _ in range(1_000))


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 0.5)), max_size=400))
def test_every_line_is_written_or_counted_once(lines: list[tuple[str, float]]) -> None:
    clock = Clock()
    limit = LineLimit(now_s=clock)
    written: list[MutableMapping[str, Any]] = []
    for event, after_s in lines:
        clock.now_s += after_s
        if (line := write(limit, event)) is not None:
            written.append(line)
    clock.now_s += 1.0
    last = write(limit, "end")
    assert last is not None

    counted = sum(sum(line.get(LEFT_OUT, {}).values()) for line in (*written, last))
    assert len(written) + counted == len(lines)


def test_events_with_invented_names_share_one_limit() -> None:
    limit = LineLimit(now_s=Clock())

    written = sum(write(limit, f"event {number}") is not None for number in range(5_000))

    assert written == 1_000 + MOST_LINES_PER_S


def test_lines_of_libraries_are_limited_by_their_text_without_values() -> None:
    passes: Callable[[logging.LogRecord], bool] = LibraryLines(LineLimit(now_s=Clock())).filter
    records = [
        logging.LogRecord("grpc", logging.ERROR, "", 0, "Unexpected %d", (number,), None)
        for number in range(500)
    ]

    assert sum(map(passes, records)) == MOST_LINES_PER_S


def test_lines_of_one_place_in_a_library_have_one_limit_whatever_their_text() -> None:
    """As asyncio's, which name the object that failed by its address."""
    passes: Callable[[logging.LogRecord], bool] = LibraryLines(LineLimit(now_s=Clock())).filter
    texts = [f"Exception in callback <Callback object at {number:#x}>" for number in range(500)]
    records = [
        logging.LogRecord("asyncio", logging.ERROR, "base_events.py", 1_785, text, (), None)
        for text in texts
    ]
    elsewhere = logging.LogRecord("asyncio", logging.ERROR, "tasks.py", 20, texts[0], (), None)

    assert sum(map(passes, records)) == MOST_LINES_PER_S
    assert passes(elsewhere)


@pytest.mark.fault
def test_a_flood_of_defects_writes_a_bounded_log_that_gives_their_number() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", FLOOD], capture_output=True, text=True, check=True
    )

    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    left_out: dict[str, int] = {}
    for line in lines:
        for event, count in line.get(LEFT_OUT, {}).items():
            left_out[event] = left_out.get(event, 0) + count
    assert lines[-1]["event"] == "drained"
    assert len(lines) + sum(left_out.values()) == 20_001
    assert len(lines) < 10_000
