"""Rows that are removed on purpose are gone, leave all others, and are not taken for lost."""

from datetime import date, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.logs.builders import (
    AT_US,
    DATE,
    DAY_US,
    outcome_batch,
    score_batch,
    shadow_batch,
    wait_until,
)
from understudy.domain.logged_ids import IdForm, LoggedIds
from understudy.logs.accounts import accounts_of
from understudy.logs.reader import open_logs
from understudy.logs.upkeep import remove_days_before, remove_unit
from understudy.logs.writer import LogWriter

IDS = LoggedIds(IdForm.KEYED, b"sixteen bytes...")
DAY = date.fromisoformat(DATE)


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Return logs of two days, in which u1 has a row of each log and is a candidate of u2."""
    with LogWriter(tmp_path, ids=IDS) as writer:
        for day in range(2):
            at_us = AT_US + day * DAY_US
            first = 10 * day
            writer.offer(score_batch(3, first=first, at_us=at_us, entity_ids=["u0", "u1", "u2"]))
            writer.offer(shadow_batch(first=first, at_us=at_us, entity_ids=["u0", "u1", "u2"]))
            writer.offer(outcome_batch(first=first, at_us=at_us))
        batch = score_batch(2, first=90, entity_ids=["u2", "u2"], candidate_ids=["u1", "u3"])
        writer.offer(batch)
    return tmp_path


def requests(root: Path, log: str) -> list[str]:
    with open_logs(root) as reader:
        rows = reader.rows(f"SELECT request_id FROM {log} ORDER BY request_id")  # noqa: S608 - ours
    return [row["request_id"] for row in rows]


def check_nothing_seems_lost(root: Path) -> None:
    assert all(each.is_whole for each in accounts_of(root, "fraud"))


def test_a_unit_is_erased_from_all_logs_and_nothing_else_is(logs: Path) -> None:
    counted = remove_unit(logs, "u1", IDS, model="fraud", dry_run=True)
    done = remove_unit(logs, "u1", IDS, model="fraud", dry_run=False)

    assert counted == done
    assert (done.rows, done.left_out, done.unfinished_rows) == (2 + 2 + 2 + 1, 0, 0)
    assert requests(logs, "score") == ["r0", "r10", "r12", "r2", "r91"]
    assert requests(logs, "shadow") == ["r0", "r10", "r12", "r2"]
    assert requests(logs, "outcomes") == ["r0", "r10", "r12", "r2"]
    check_nothing_seems_lost(logs)
    (digest,) = IDS.written(["u1"])
    assert not [path for path in logs.rglob("*.parquet") if digest.encode() in path.read_bytes()]
    assert remove_unit(logs, "u1", IDS, model=None, dry_run=False).rows == 0


def test_a_rewritten_file_keeps_its_names_and_columns(logs: Path) -> None:
    before = {path: pq.read_schema(path) for path in logs.rglob("*.parquet")}

    remove_unit(logs, "u1", IDS, model=None, dry_run=False)

    for path in logs.rglob("*.parquet"):
        assert pq.read_schema(path).equals(before[path], check_metadata=True)


def test_files_under_another_key_are_not_taken_for_searched(logs: Path) -> None:
    other = LoggedIds(IdForm.KEYED, b"the key of last year")

    done = remove_unit(logs, "u1", other, model=None, dry_run=False)

    assert done.rows == 0
    assert done.left_out == 4  # score and shadow of two days


def test_a_unit_in_an_unfinished_file_is_reported(tmp_path: Path) -> None:
    with LogWriter(tmp_path, ids=IDS) as writer:
        writer.offer(score_batch(1, entity_ids=["u1"]))
        assert writer.flush(60)
        writer.offer(score_batch(2, entity_ids=["u1", "u2"]))
        wait_until(lambda: writer.counters().queued_rows == 0, what="rows in a journal")
        done = remove_unit(tmp_path, "u1", IDS, model=None, dry_run=False)

    assert (done.rows, done.unfinished_rows) == (1, 1)


def test_days_that_are_over_go_and_the_others_stay(logs: Path) -> None:
    foreign = logs / "score" / "model=fraud" / f"date={DATE}" / "foreign.parquet"
    foreign.write_bytes(b"not ours")

    counted = remove_days_before(logs, DAY + timedelta(days=1), model=None, dry_run=True)
    done = remove_days_before(logs, DAY + timedelta(days=1), model=None, dry_run=False)

    assert counted == done
    assert (done.rows, done.left_out) == (3 + 3 + 3 + 2, 1)
    assert requests(logs, "score") == ["r10", "r11", "r12"]
    assert foreign.exists()
    check_nothing_seems_lost(logs)
