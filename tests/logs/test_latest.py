"""The newest rows, each returned once, whether their file is finished or not."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.logs.builders import AT_US, score_batch, shadow_batch, wait_until
from understudy.domain.errors import NotFoundError
from understudy.logs.latest import Follower, latest_rows
from understudy.logs.schema import LogKind
from understudy.logs.writer import LogWriter, WriterLimits

SECOND_US = 1_000_000


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[LogWriter]:
    with LogWriter(tmp_path, limits=WriterLimits(gather_s=0.002)) as running:
        yield running


def journalled(writer: LogWriter) -> None:
    wait_until(lambda: writer.counters().queued_rows == 0, what="rows in a journal")


def ids(rows: list[dict[str, object]]) -> list[object]:
    return [row["request_id"] for row in rows]


def test_the_newest_rows_come_from_both_files_and_journals(
    writer: LogWriter, tmp_path: Path
) -> None:
    writer.offer(score_batch(2))
    assert writer.flush(60)
    writer.offer(score_batch(2, first=5, at_us=AT_US + SECOND_US))
    journalled(writer)

    assert ids(latest_rows(tmp_path, LogKind.SCORE, model="fraud", rows=3)) == ["r1", "r5", "r6"]


def test_a_follower_returns_each_row_once_even_if_its_file_is_finished_meanwhile(
    writer: LogWriter, tmp_path: Path
) -> None:
    follower = Follower(tmp_path, LogKind.SCORE, None)
    assert follower.next_rows(at_most=10) == []
    writer.offer(score_batch(2))
    journalled(writer)
    assert ids(follower.next_rows(at_most=10)) == ["r0", "r1"]

    assert writer.flush(60)

    assert follower.next_rows(at_most=10) == []


def test_a_follower_returns_rows_of_the_same_time_and_slightly_earlier(
    writer: LogWriter, tmp_path: Path
) -> None:
    follower = Follower(tmp_path, LogKind.SCORE, None)
    writer.offer(score_batch(1))
    journalled(writer)
    assert ids(follower.next_rows(at_most=10)) == ["r0"]

    writer.offer(score_batch(1, first=1))
    writer.offer(score_batch(1, first=2, at_us=AT_US - SECOND_US))
    journalled(writer)

    assert ids(follower.next_rows(at_most=10)) == ["r2", "r1"]


def test_a_follower_never_returns_rows_from_before_its_first_page(
    writer: LogWriter, tmp_path: Path
) -> None:
    follower = Follower(tmp_path, LogKind.SCORE, None)
    writer.offer(score_batch(100))
    journalled(writer)
    assert ids(follower.next_rows(at_most=2)) == ["r98", "r99"]

    assert follower.next_rows(at_most=1000) == []


def test_a_follower_forgets_rows_that_it_need_not_remember(
    writer: LogWriter, tmp_path: Path
) -> None:
    follower = Follower(tmp_path, LogKind.SCORE, None)
    for number in range(5):
        writer.offer(score_batch(1, first=number, at_us=AT_US + number * 60 * SECOND_US))
        journalled(writer)
        assert ids(follower.next_rows(at_most=10)) == [f"r{number}"]

    assert follower.next_rows(at_most=10) == []
    assert len(follower._seen) == 1


def test_other_kinds_and_models_are_left_out(writer: LogWriter, tmp_path: Path) -> None:
    writer.offer(score_batch(1))
    writer.offer(score_batch(1, first=7, model="churn"))
    writer.offer(shadow_batch([0.5], first=9))
    journalled(writer)

    assert ids(latest_rows(tmp_path, LogKind.SCORE, model="churn", rows=9)) == ["r7"]
    assert ids(latest_rows(tmp_path, LogKind.SHADOW, model=None, rows=9)) == ["r9"]


def test_a_missing_directory_is_reported(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="log directory"):
        latest_rows(tmp_path / "nowhere", LogKind.SCORE, model=None, rows=1)
