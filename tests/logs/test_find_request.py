"""The rows of one request, whether their file is finished or not."""

from pathlib import Path

import pytest

from tests.logs.builders import AT_US, score_batch, wait_until
from understudy.domain.errors import NotFoundError
from understudy.logs.find_request import rows_of_request
from understudy.logs.writer import LogWriter, WriterLimits


def test_all_rows_of_a_request_are_found_in_files_and_journals_with_their_feature_names(
    tmp_path: Path,
) -> None:
    with LogWriter(tmp_path, limits=WriterLimits(gather_s=0.002)) as writer:
        writer.offer(score_batch(3, width=2))
        writer.offer(score_batch(2, width=3, version=9, model="loan"))
        assert writer.flush(60)
        writer.offer(score_batch(2, width=0, first=1, at_us=AT_US + 1))
        wait_until(lambda: writer.counters().queued_rows == 0, what="rows in a journal")

        found = rows_of_request(tmp_path, "r1")

    assert {(row.model, row.columns["version"], len(row.listed.names)) for row in found} == {
        ("fraud", 7, 2),
        ("loan", 9, 3),
        ("fraud", 7, 0),
    }
    assert {row.columns["request_id"] for row in found} == {"r1"}
    assert found[-1].features is None
    assert found[0].features == [1.0, pytest.approx(1.1)]
    assert found[0].ages_ms == {"view@1": 1000}


def test_each_row_is_found_once(tmp_path: Path) -> None:
    with LogWriter(tmp_path) as writer:
        writer.offer(score_batch(3, request_ids=["call"] * 3, candidate_ids=["a", "b", "c"]))

    assert len(rows_of_request(tmp_path, "call")) == 3
    assert rows_of_request(tmp_path, "another") == []


def test_a_missing_folder_is_no_empty_log(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        rows_of_request(tmp_path / "nowhere", "r1")
