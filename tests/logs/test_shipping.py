"""Finished files reach the store once and whole, and leave the disk only then."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.logs.builders import DATE, outcome_batch, score_batch, shadow_batch, wait_until
from tests.logs.test_faults import score_account
from understudy.domain.errors import UnavailableError
from understudy.domain.store_urls import StoreUrl
from understudy.logs.compaction import compact_files
from understudy.logs.decisions.drops import DropCause
from understudy.logs.decisions.shipping import ShippedFile, ShippingPolicy, removable
from understudy.logs.local_bytes import bytes_below
from understudy.logs.reader import open_logs
from understudy.logs.replaced_files import only_upkeep
from understudy.logs.shipping import Shipper
from understudy.logs.writer import LogWriter, WriterLimits
from understudy.runtime.object_store import ObjectStore

NOW_S = 2e9  # after all files
KEPT = ShippingPolicy(keep_s=1e10, most_local_bytes=1 << 40)
AT_ONCE = ShippingPolicy(keep_s=0, most_local_bytes=1 << 40)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Write three logs, in files of their own, and return their directory."""
    root = tmp_path / "logs"
    with LogWriter(root) as writer:
        writer.offer(score_batch(5))
        assert writer.flush(60)
        writer.offer(score_batch(3, first=5))
        writer.offer(shadow_batch())
        writer.offer(outcome_batch())
    return root


@pytest.fixture
def away(tmp_path: Path) -> Path:
    return tmp_path / "objects"


def shipper(root: Path, away: Path, policy: ShippingPolicy = KEPT) -> Shipper:
    return Shipper(root, ObjectStore.open(StoreUrl("", str(away))), policy)


def rows(root: Path) -> int:
    with open_logs(root) as reader:
        return int(reader.rows("SELECT count(*) AS n FROM score")[0]["n"])


def test_the_store_holds_the_files_that_were_finished_and_the_statements(
    root: Path, away: Path
) -> None:
    report = shipper(root, away).ship(NOW_S)

    shipped = {path.relative_to(away): path.read_bytes() for path in away.rglob("*.*")}
    local = [*root.rglob("*.parquet"), *root.rglob("*.json")]
    assert shipped == {path.relative_to(root): path.read_bytes() for path in local}
    assert (report.shipped_files, report.waiting_files, report.trouble) == (len(local), 0, "")
    assert score_account(away).is_whole


def test_shipped_files_leave_when_their_time_is_over_and_no_account_takes_them_for_lost(
    root: Path, away: Path
) -> None:
    report = shipper(root, away, AT_ONCE).ship(NOW_S)

    assert (rows(root), rows(away), report.removed_files) == (0, 8, 4)
    local = score_account(root)
    assert (local.offered, local.found, local.removed, local.missing) == (8, 0, 8, ())
    assert score_account(away).is_whole


def test_nothing_is_sent_twice_by_one_process_or_the_next(root: Path, away: Path) -> None:
    first = shipper(root, away)
    sent = first.ship(NOW_S).shipped_files

    assert first.ship(NOW_S).shipped_files == sent
    assert shipper(root, away).ship(NOW_S).shipped_files == 0


def test_an_object_with_other_bytes_is_sent_again_before_its_file_leaves(
    root: Path, away: Path
) -> None:
    """As after a kill in a store that is not atomic, or an erasure from a file that was shipped."""
    shipper(root, away).ship(NOW_S)
    (damaged, *_) = sorted(away.rglob("v7-*.parquet"))
    before = damaged.read_bytes()
    damaged.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))

    report = shipper(root, away, AT_ONCE).ship(NOW_S)

    assert report.shipped_files == 1
    assert rows(away) == 8


def test_a_store_that_is_away_keeps_all_files_here_and_is_reported(
    root: Path, tmp_path: Path
) -> None:
    class Away(ObjectStore):
        def put(self, key: str, content: bytes) -> str:
            raise UnavailableError("object store", "told to fail")

    store = Away.open(StoreUrl("", str(tmp_path / "objects")))
    one = Shipper(root, store, AT_ONCE)

    reports = [one.ship(NOW_S), one.ship(NOW_S)]

    assert rows(root) == 8
    assert [each.faults for each in reports] == [1, 2]
    assert "told to fail" in reports[-1].trouble
    assert reports[-1].waiting_bytes == sum(
        path.stat().st_size for path in [*root.rglob("*.parquet"), *root.glob("writers/*.json")]
    )
    assert reports[-1].oldest_waiting_s > 0


def test_a_file_that_cannot_be_read_holds_up_no_other(root: Path, away: Path) -> None:
    folder = root / "score" / "model=fraud" / f"date={DATE}"
    (folder / "v0-foreign.parquet").write_bytes(b"no log")
    (folder / "v0-folder.parquet").mkdir()

    report = shipper(root, away, AT_ONCE).ship(NOW_S)

    assert rows(away) == 8
    assert report.removed_files == 4
    assert (folder / "v0-foreign.parquet").exists(), "its rows have no numbers to state"


def test_a_merged_file_replaces_its_sources_in_the_store(root: Path, away: Path) -> None:
    one = shipper(root, away)
    one.ship(NOW_S)
    assert compact_files(root, model=None, small_bytes=1 << 20, dry_run=False).into == 1

    one.ship(NOW_S)

    found = sorted(path.name.partition("-")[2][:6] for path in (away / "score").rglob("*.parquet"))
    assert found == ["merged"]
    assert rows(away) == 8
    assert score_account(away).is_whole


def test_no_file_leaves_while_another_process_merges_or_erases(root: Path, away: Path) -> None:
    one = shipper(root, away, AT_ONCE)

    with only_upkeep(root):
        assert one.ship(NOW_S).removed_files == 0

    assert one.ship(NOW_S).removed_files == 4


def test_a_file_that_changed_since_it_was_sent_stays_until_the_change_is_sent(
    root: Path, away: Path
) -> None:
    one = shipper(root, away)
    one.ship(NOW_S)
    (path, *_) = sorted((root / "score").rglob("*.parquet"))
    table = pq.read_table(path, partitioning=None)
    pq.write_table(table.slice(1).replace_schema_metadata(table.schema.metadata), path)
    one.policy = AT_ONCE

    one.ship(NOW_S)

    assert rows(root) == 0
    assert rows(away) == 7


def test_rows_beyond_the_local_bound_are_dropped_and_named(tmp_path: Path) -> None:
    now_s = 0.0
    limits = WriterLimits(queued_rows=40, gather_s=0.005, retry_s=0.01, most_local_bytes=4_000)
    with LogWriter(tmp_path, limits=limits, now_s=lambda: now_s) as writer:
        assert writer.offer(score_batch(30))
        assert writer.flush(60)
        assert bytes_below(tmp_path) > 4_000
        now_s = 60.0  # it measures again
        wait_until(lambda: _drops(writer), what="a full queue")
        for path in (tmp_path / "score").rglob("*.parquet"):
            path.rename(tmp_path.with_name(f"{tmp_path.name}-{path.name}"))
        now_s = 120.0
        assert writer.flush(60)
        counts = writer.counters().score

    account = score_account(tmp_path)
    assert counts.dropped > 0
    assert counts.dropped_by == {DropCause.BOUND: counts.dropped}
    assert account.dropped == counts.dropped
    assert account.found + account.missing_rows == account.offered
    assert account.missing_rows == 30 + counts.dropped


def _drops(writer: LogWriter) -> bool:
    writer.offer(score_batch(10, first=writer.counters().score.offered))
    return writer.counters().score.dropped > 0


files = st.lists(
    st.builds(
        ShippedFile,
        key=st.text("abc", min_size=1, max_size=3),
        size_bytes=st.integers(0, 100),
        finished_at_s=st.integers(0, 100).map(float),
    ),
    max_size=8,
)


@given(files, st.integers(0, 60), st.integers(1, 400), st.integers(0, 500), st.integers(0, 200))
def test_only_old_files_leave_unless_half_of_the_bound_is_taken_and_never_more_than_needed(
    shipped: Sequence[ShippedFile], keep_s: int, most: int, others: int, now_s: int
) -> None:
    policy = ShippingPolicy(keep_s=keep_s, most_local_bytes=most)
    local_bytes = others + sum(each.size_bytes for each in shipped)

    gone = removable(shipped, policy, local_bytes=local_bytes, now_s=now_s)

    left = local_bytes
    for each in gone:
        assert now_s - each.finished_at_s >= keep_s or left > most // 2
        left -= each.size_bytes
    kept = list(shipped)
    for each in gone:
        kept.remove(each)
    assert all(now_s - each.finished_at_s < keep_s for each in kept)
    assert not kept or left <= most // 2
    assert (
        not gone
        or not kept
        or max(f.finished_at_s for f in gone) <= min(f.finished_at_s for f in kept)
    )


@pytest.mark.parametrize(
    "limits", [{"keep_s": -1, "most_local_bytes": 1}, {"keep_s": 0, "most_local_bytes": 0}]
)
def test_limits_that_cannot_hold_are_refused(limits: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="keep_s"):
        ShippingPolicy(**limits)
