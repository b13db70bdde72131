"""The log writer: offered rows can be read back, and no failure affects the caller."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.logs.builders import (
    AT_US,
    DATE,
    DAY_US,
    Share,
    outcome_batch,
    score_batch,
    shadow_batch,
    wait_until,
)
from understudy.domain.logged_ids import IdForm, LoggedIds
from understudy.logs.batches import LogBatch
from understudy.logs.columns import FileKey, FileKeys, record_batch
from understudy.logs.decisions.drops import DropCause, cause_of_drops
from understudy.logs.decisions.rolling import RollPolicy
from understudy.logs.files import LogFiles
from understudy.logs.numbered import Numbered
from understudy.logs.offered_rows import CountsInMemory
from understudy.logs.reader import open_logs
from understudy.logs.schema import LogKind
from understudy.logs.writer import LogWriter, WriterLimits

QUICK = WriterLimits(gather_s=0.005, retry_s=0.01)


def written(root: Path, *batches: LogBatch, **options: object) -> LogWriter:
    """Write `batches` below `root` and return the closed writer."""
    with LogWriter(root, limits=QUICK, **options) as writer:  # type: ignore[arg-type]  # passed on
        for batch in batches:
            assert writer.offer(batch)
    return writer


def parquet_files(root: Path, kind: str = "score") -> list[Path]:
    return sorted((root / kind).rglob("*.parquet"))


def leftovers(root: Path) -> list[Path]:
    return list((root / ".inprogress").glob("*"))


def test_every_value_of_a_score_batch_is_read_back(tmp_path: Path) -> None:
    batch = score_batch(
        3,
        width=2,
        decisions=np.array([1, 0, -1], np.int8),
        levels=np.array([0, 1, 3], np.uint8),
        rules=["", "too_much", ""],
        candidate_ids=["a", "b", "c"],
        statuses=np.array([[0, 3], [1, 0], [2, 2]], np.uint8),
        split=(Share("champion", 7, 9_000), Share("challenger", 8, 1_000)),
        seats=np.array([0, 1, 0], np.uint16),
    )

    written(tmp_path, batch, ids=LoggedIds(IdForm.PLAIN))

    with open_logs(tmp_path) as reader:
        rows = reader.rows("SELECT * FROM score ORDER BY request_id")
    assigned = [(row["assigned_arm"], row["assigned_version"], row["assigned_bp"]) for row in rows]
    assert assigned == [("champion", 7, 9_000), ("challenger", 8, 1_000), ("champion", 7, 9_000)]
    assert [row["request_id"] for row in rows] == ["r0", "r1", "r2"]
    assert [row["candidate_id"] for row in rows] == ["a", "b", "c"]
    assert [row["unit_key"] for row in rows] == ["u0", "u1", "u2"]
    assert [row["score"] for row in rows] == batch.scores.tolist()
    assert [row["decision"] for row in rows] == [True, False, None]
    assert [row["level"] for row in rows] == [0, 1, 3]
    assert [row["rule"] for row in rows] == [None, "too_much", None]
    assert batch.features is not None
    assert [row["float_features"] for row in rows] == batch.features.tensors[0].tolist()
    assert {tuple(row["ages_ms"]) for row in rows} == {(1000,)}
    assert [row["statuses"] for row in rows] == [[0, 3], [1, 0], [2, 2]]
    assert [(row["queue_us"], row["total_us"]) for row in rows] == [(0, 500), (1, 501), (2, 502)]
    of_batch = ("model", "version", "arm", "revision", "fetch_us", "infer_us")
    assert {tuple(row[name] for name in of_batch) for row in rows} == {
        ("fraud", 7, "champion", 4, 40, 300)
    }
    assert {str(row["date"]) for row in rows} == {DATE}
    assert {row["at_utc"].isoformat() for row in rows} == {"2026-11-18T11:06:40"}


def test_every_value_of_shadow_and_outcome_batches_is_read_back(tmp_path: Path) -> None:
    failed = shadow_batch([0.5], [float("nan")], first=2, status="timeout", arm="challenger")

    written(tmp_path, shadow_batch([0.1, 0.2], [0.3, 0.4]), failed, outcome_batch([0.0, 1.0]))

    with open_logs(tmp_path) as reader:
        shadows = reader.rows(
            "SELECT request_id, score, shadow_score, status, arm, shadow_version, "
            "version FROM shadow ORDER BY request_id"
        )
        outcomes = reader.rows(
            "SELECT request_id, label, observed_at_utc < at_utc AS earlier FROM outcomes "
            "ORDER BY request_id"
        )
    assert [tuple(row.values()) for row in shadows] == [
        ("r0", 0.1, 0.3, "ok", "champion", 9, 7),
        ("r1", 0.2, 0.4, "ok", "champion", 9, 7),
        ("r2", 0.5, None, "timeout", "challenger", 9, 7),
    ]
    assert [tuple(row.values()) for row in outcomes] == [("r0", 0.0, True), ("r1", 1.0, True)]


def test_rows_with_and_without_statuses_share_a_file(tmp_path: Path) -> None:
    given = score_batch(2, first=2, statuses=np.full((2, 2), 3, np.uint8))

    written(tmp_path, score_batch(2), given, score_batch(1, first=4))

    with open_logs(tmp_path) as reader:
        rows = reader.rows("SELECT statuses FROM score ORDER BY request_id")
    assert [row["statuses"] for row in rows] == [None, None, [3, 3], [3, 3], None]
    assert len(parquet_files(tmp_path)) == 1


def test_each_version_width_and_day_gets_its_own_file(tmp_path: Path) -> None:
    written(
        tmp_path,
        score_batch(1, width=2),
        score_batch(1, width=5, version=8),
        score_batch(1, width=0),  # a rule decided: no features were read
        score_batch(1, width=2, at_us=AT_US + DAY_US),
        score_batch(1, width=2, model="churn"),
    )

    files = parquet_files(tmp_path)
    assert [str(file.parent.relative_to(tmp_path / "score")) for file in files] == [
        f"model=churn/date={DATE}",
        f"model=fraud/date={DATE}",
        f"model=fraud/date={DATE}",
        f"model=fraud/date={DATE}",
        "model=fraud/date=2026-11-19",
    ]
    elements = [json.loads(pq.read_schema(file).metadata[b"elements"]) for file in files]
    assert sorted(len(each["statuses"]) for each in elements) == [0, 2, 2, 2, 5]
    with open_logs(tmp_path) as reader:
        lengths = reader.rows(
            "SELECT len(float_features) AS width FROM score ORDER BY width NULLS FIRST"
        )
    assert [row["width"] for row in lengths] == [None, 2, 2, 2, 5]


def test_ids_are_hashed_unless_configured_otherwise(tmp_path: Path) -> None:
    batch = score_batch(2, entity_ids=["alice", "alice"], candidate_ids=["alice", ""])

    written(tmp_path / "hashed", batch)
    written(tmp_path / "keyed", batch, ids=LoggedIds(IdForm.KEYED, b"a pepper of 16 bytes or more"))

    keys = {}
    for name in ("hashed", "keyed"):
        with open_logs(tmp_path / name) as reader:
            (keys[name],) = reader.rows(
                "SELECT DISTINCT unit_key, candidate_id FROM score WHERE candidate_id IS NOT NULL"
            )
        assert not any(
            b"alice" in path.read_bytes() for path in (tmp_path / name).rglob("*.parquet")
        )
    assert len(keys["hashed"]["unit_key"]) == 32
    assert all(row["unit_key"] == row["candidate_id"] for row in keys.values())
    assert keys["hashed"] != keys["keyed"]


def test_offers_beyond_the_bound_in_rows_are_dropped_and_counted(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path, limits=WriterLimits(queued_rows=10))  # not started: stays full

    taken = [writer.offer(score_batch(4)) for _ in range(3)]

    assert taken == [True, True, False]
    counts = writer.counters().score
    assert (counts.offered, counts.dropped, counts.pending) == (12, 4, 8)
    assert counts.dropped_by == {DropCause.BACKLOG: 4}


def test_batches_offered_together_are_all_accepted_or_all_dropped(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path, limits=WriterLimits(queued_rows=10))  # not started: stays full

    assert not writer.offer_together([score_batch(rows=6), score_batch(rows=5)])
    assert writer.offer_together([score_batch(rows=6), score_batch(rows=4)])

    counts = writer.counters().score
    assert (counts.offered, counts.dropped, counts.pending) == (21, 11, 10)


def test_offers_beyond_the_bound_in_bytes_are_dropped_and_counted(tmp_path: Path) -> None:
    batch = score_batch(4, width=200)
    writer = LogWriter(tmp_path, limits=WriterLimits(queued_bytes=2 * batch.size_bytes))

    taken = [writer.offer(batch) for _ in range(3)]

    assert taken == [True, True, False]
    assert writer.counters().queued_bytes == 2 * batch.size_bytes


def test_written_rows_free_capacity(tmp_path: Path) -> None:
    with LogWriter(tmp_path, limits=WriterLimits(queued_rows=10, gather_s=0.005)) as writer:
        for _ in range(20):
            assert writer.offer(score_batch(10))
            assert writer.flush(60)

        counters = writer.counters()

    assert (counters.score.written, counters.queued_rows, counters.queued_bytes) == (200, 0, 0)


def test_a_batch_that_cannot_be_written_costs_only_its_own_rows(tmp_path: Path) -> None:
    bad = score_batch(2, first=10, request_ids=["fine", "\ud800"])  # this is not valid UTF-8

    writer = written(tmp_path, score_batch(3), bad, score_batch(3, first=20))

    counts = writer.counters()
    assert (counts.score.written, counts.score.failed, counts.score.pending) == (6, 2, 0)
    assert (counts.queued_rows, counts.queued_bytes) == (0, 0)
    with open_logs(tmp_path) as reader:
        assert reader.rows("SELECT count(*) AS n FROM score") == [{"n": 6}]


@pytest.mark.parametrize("model", ["../../escape", "", "a/b", "x" * 64])
def test_a_model_name_never_becomes_a_path_unchecked(tmp_path: Path, model: str) -> None:
    root = tmp_path / "logs"

    writer = written(root, outcome_batch(model=model))

    assert writer.counters().outcomes.failed == 3
    assert list(tmp_path.rglob("*.parquet")) == []


def test_a_closed_writer_drops_and_leaves_nothing_unfinished(tmp_path: Path) -> None:
    writer = written(tmp_path, score_batch(3))

    assert not writer.offer(score_batch(2))
    assert not writer.flush(1)
    assert writer.counters().score.dropped_by == {DropCause.CLOSED: 2}
    assert leftovers(tmp_path) == []


def test_a_file_is_finished_at_its_age_limit_and_not_before(tmp_path: Path) -> None:
    now_s = 0.0
    limits = WriterLimits(gather_s=0.002, roll=RollPolicy(age_s=60))
    with LogWriter(tmp_path, limits=limits, now_s=lambda: now_s) as writer:
        writer.offer(score_batch(3))
        wait_until(lambda: writer.counters().queued_rows == 0, what="rows in a journal")
        assert parquet_files(tmp_path) == []

        now_s = 61.0

        wait_until(lambda: writer.counters().score.written == 3, what="file finished by age")
        assert len(parquet_files(tmp_path)) == 1


def test_open_journals_are_bounded_and_idle_ones_are_closed_first(tmp_path: Path) -> None:
    """Model names come from callers, so one turn may bring any number of them."""
    ids, keys = LoggedIds(IdForm.UNKEYED), FileKeys()
    roll = RollPolicy(open_at_once=3)
    files = LogFiles(tmp_path, ids, roll, now_s=lambda: 0.0, pause=lambda: None)

    def append(model: str) -> None:
        batch = outcome_batch([1.0], model=model)
        key = keys.key_of(batch)
        files.append(key, record_batch([Numbered(batch, 1)], files.schema_of(key), ids, "w"))

    def open_journals() -> set[str]:
        links = [entry.readlink() for entry in Path("/proc/self/fd").iterdir() if entry.exists()]
        return {
            link.parent.parent.name.removeprefix("model=")
            for link in links
            if link.is_relative_to(tmp_path) and link.suffix == ".inprogress"
        }

    for model in ("a", "b", "c", "a", "d"):
        append(model)

    assert open_journals() == {"c", "a", "d"}
    for number in range(40):
        append(f"m{number}")
        assert len(open_journals()) <= 3
    finished = list(files.finish_due(everything=True))
    files.close(CountsInMemory(files.writer_id))
    assert sum(each.rows for each in finished) == 45
    assert leftovers(tmp_path) == []


def test_a_large_batch_is_written_completely_and_in_order(tmp_path: Path) -> None:
    batch = score_batch(5_000, width=3, request_ids=["one"] * 5_000)

    written(tmp_path, batch)

    with open_logs(tmp_path) as reader:
        scores = reader.table("SELECT score FROM score ORDER BY queue_us")["score"].to_numpy()
    assert np.array_equal(scores, batch.scores)


def test_two_writers_share_a_directory_without_interfering(tmp_path: Path) -> None:
    with LogWriter(tmp_path, limits=QUICK) as first, LogWriter(tmp_path, limits=QUICK) as second:
        for number in range(20):
            first.offer(score_batch(5, first=number * 10))
            second.offer(score_batch(5, first=number * 10 + 5))
            assert first.flush(60)

    assert first.counters().recovered == second.counters().recovered == 0
    with open_logs(tmp_path) as reader:
        assert reader.rows("SELECT count(*) AS n, count(DISTINCT request_id) AS d FROM score") == [
            {"n": 200, "d": 200}
        ]


@pytest.fixture
def blocked_root(tmp_path: Path) -> Iterator[Path]:
    """Put a file in place of the log directory, so that not even root can write there."""
    root = tmp_path / "logs"
    root.write_text("in the way")
    yield root
    assert root.is_dir()


def test_rows_wait_for_a_directory_that_cannot_be_written(blocked_root: Path) -> None:
    with LogWriter(blocked_root, limits=QUICK) as writer:
        writer.offer(score_batch(3))
        wait_until(lambda: writer.counters().faults >= 3, what="retries")
        assert writer.counters().score.pending == 3

        blocked_root.unlink()

        assert writer.flush(60)
        assert writer.counters().score.written == 3


def test_drops_of_a_directory_that_cannot_be_written_say_so(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("in the way")
    limits = WriterLimits(queued_rows=10, retry_s=0.01)
    with LogWriter(tmp_path / "logs", limits=limits) as writer:
        wait_until(lambda: _drops_by(writer, DropCause.UNWRITABLE), what="a row that is dropped")


def _drops_by(writer: LogWriter, cause: DropCause) -> bool:
    writer.offer(score_batch(4))
    return cause in writer.counters().score.dropped_by


@pytest.mark.parametrize(
    ("has_room", "is_written", "cause"),
    [
        (False, False, DropCause.BOUND),
        (True, False, DropCause.UNWRITABLE),
        (True, True, DropCause.BACKLOG),
    ],
)
def test_the_cause_of_drops_is_the_state_of_the_last_attempt(
    has_room: bool, is_written: bool, cause: DropCause
) -> None:
    assert cause_of_drops(has_room=has_room, is_written=is_written) is cause


def test_an_unwritable_directory_costs_counted_rows_and_blocks_no_caller(
    tmp_path: Path,
) -> None:
    (tmp_path / "logs").write_text("in the way")
    limits = WriterLimits(queued_rows=10, retry_s=0.01)
    with LogWriter(tmp_path / "logs", limits=limits) as writer:
        taken = [writer.offer(score_batch(4)) for _ in range(5)]

    assert taken == [True, True, False, False, False]
    counts = writer.counters().score
    assert (counts.offered, counts.dropped, counts.failed, counts.pending) == (20, 12, 8, 0)


def test_a_bug_in_a_step_costs_a_counted_attempt_and_does_not_stop_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = LogFiles.append
    attempts = []

    def fail_once(files: LogFiles, key: FileKey, batch: pa.RecordBatch) -> None:
        attempts.append(batch.num_rows)
        if len(attempts) == 1:
            raise RuntimeError("a bug")
        append(files, key, batch)

    monkeypatch.setattr(LogFiles, "append", fail_once)

    with LogWriter(tmp_path, limits=QUICK) as writer:
        writer.offer(score_batch(3))
        assert writer.flush(60)

    assert (writer.counters().faults, attempts) == (1, [3, 3])
    assert writer.counters().of(LogKind.SCORE).written == 3


@pytest.mark.parametrize("name", ["queued_rows", "queued_bytes", "gather_s", "recover_s"])
def test_a_limit_of_nothing_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="above 0"):
        WriterLimits(**{name: 0})  # type: ignore[arg-type]  # rows or seconds
