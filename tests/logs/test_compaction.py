"""Small files become one, with the same rows for every reader, wherever the work is cut short."""

import os
import signal
import subprocess
import sys
from itertools import chain
from pathlib import Path
from shutil import copytree, rmtree

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.logs.builders import AT_US, DATE, DAY_US, outcome_batch, score_batch, shadow_batch
from understudy.domain.errors import RefusedError
from understudy.domain.logged_ids import IdForm, LoggedIds
from understudy.logs.accounts import accounts_of
from understudy.logs.compaction import Compaction, compact_files
from understudy.logs.decisions.merging import FoundFile, MergePolicy, merges_of
from understudy.logs.reader import open_logs
from understudy.logs.replaced_files import only_upkeep
from understudy.logs.schema import LogKind
from understudy.logs.upkeep import remove_unit
from understudy.logs.writer import LogWriter

IDS = LoggedIds(IdForm.KEYED, b"sixteen bytes...")
SMALL_BYTES = 1 << 20
FOLDER = Path("score") / "model=fraud" / f"date={DATE}"


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Return logs of three writers, two versions, two widths and two days."""
    root = tmp_path / "logs"
    for place in range(3):
        with LogWriter(root, ids=IDS) as writer:
            first = 10 * place
            writer.offer(score_batch(3, first=first))
            writer.offer(score_batch(1, first=first + 5, version=8))
            writer.offer(score_batch(1, first=first + 6, width=4))
            writer.offer(score_batch(2, first=first + 7, at_us=AT_US + DAY_US))
            writer.offer(shadow_batch(first=first))
            writer.offer(outcome_batch(first=first))
    return root


def rows_of(root: Path) -> dict[str, list[dict[str, object]]]:
    with open_logs(root) as reader:
        return {
            kind.value: reader.rows(
                f"SELECT * FROM {kind.value} ORDER BY ALL"  # noqa: S608 - ours
            )
            for kind in LogKind
        }


def names_of(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def compact(root: Path, *, dry_run: bool = False) -> Compaction:
    return compact_files(root, model="fraud", small_bytes=SMALL_BYTES, dry_run=dry_run)


def test_files_become_fewer_and_every_row_and_account_stays(logs: Path) -> None:
    rows, accounts = rows_of(logs), accounts_of(logs, "fraud")
    foreign = logs / FOLDER / "foreign.parquet"
    foreign.write_bytes(b"not ours")

    planned = compact(logs, dry_run=True)
    done = compact(logs)

    assert planned == done == Compaction(rows=39, files=18, into=6, left_out=1)
    assert (rows_of(logs), accounts_of(logs, "fraud")) == (rows, accounts)
    assert all(each.is_whole for each in accounts)
    assert foreign.exists()
    assert len(names_of(logs / FOLDER)) == 3 + 1
    assert compact(logs) == Compaction(0, 0, 0, 1)


def test_a_merged_file_states_what_its_sources_stated(logs: Path) -> None:
    before = {
        frozenset((pq.read_schema(path).metadata or {}).items())
        for path in logs.rglob("v*.parquet")
    }

    compact(logs)

    after = {
        frozenset(
            (key, value)
            for key, value in (pq.read_schema(path).metadata or {}).items()
            if key != b"replaces"
        )
        for path in logs.rglob("v*.parquet")
    }
    assert after == before


def test_sources_that_a_kill_has_left_are_neither_read_nor_kept(logs: Path, tmp_path: Path) -> None:
    sources = sorted(path for path in (logs / FOLDER).iterdir())
    kept = {path.name: path.read_bytes() for path in sources}
    rows, accounts = rows_of(logs), accounts_of(logs, "fraud")
    compact(logs)
    merged = copytree(logs, tmp_path / "merged")

    for left in (kept.keys(), [min(kept)]):
        rmtree(logs)
        copytree(merged, logs)
        for name in left:
            (logs / FOLDER / name).write_bytes(kept[name])
        (logs / FOLDER / "v7-merged-half.rewritten").write_bytes(b"PAR1")

        assert (rows_of(logs), accounts_of(logs, "fraud")) == (rows, accounts)
        assert compact(logs) == Compaction(0, 0, 0, 0)
        assert names_of(logs / FOLDER) == names_of(merged / FOLDER)


def test_erased_rows_do_not_return_from_sources_that_were_left(logs: Path) -> None:
    (source, *_) = sorted((logs / FOLDER).iterdir())
    content = source.read_bytes()
    compact(logs)
    source.write_bytes(content)

    for number in range(30):
        remove_unit(logs, f"u{number}", IDS, model=None, dry_run=False)

    assert rows_of(logs)["score"] == []
    assert all(each.is_whole for each in accounts_of(logs, "fraud"))


def test_a_damaged_file_and_its_company_stay(logs: Path) -> None:
    damaged = min((logs / FOLDER).iterdir())
    content = bytearray(damaged.read_bytes())
    content[4:200] = bytes(196)  # the footer is whole, the data is not
    damaged.write_bytes(content)

    done = compact(logs)

    assert (done.left_out, done.into) == (3, 5)
    assert damaged.read_bytes() == content
    assert not list(logs.rglob("*.rewritten"))


def test_two_processes_do_not_remove_at_the_same_time(logs: Path) -> None:
    with only_upkeep(logs), pytest.raises(RefusedError, match="another process"):
        compact(logs)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 12), st.integers(1, 9)), max_size=30))
def test_no_group_is_beyond_the_limits_and_no_file_is_in_two(
    drawn: list[tuple[int, int, int]],
) -> None:
    policy = MergePolicy(small_bytes=10, most_bytes=20, most_rows=15, most_files=4)
    files = [FoundFile(f"{n:03}", *each) for n, each in enumerate(drawn)]

    groups = merges_of(files, policy)

    merged = list(chain.from_iterable(groups))
    assert len(set(merged)) == len(merged)
    for group in groups:
        assert 1 < len(group) <= policy.most_files
        assert len({each.kin for each in group}) == 1
        assert all(each.size_bytes < policy.small_bytes for each in group)
        assert sum(each.size_bytes for each in group) <= policy.most_bytes
        assert sum(each.rows for each in group) <= policy.most_rows


_COMPACT = """
import sys
from pathlib import Path
from understudy.logs.compaction import compact_files
print("ready", flush=True)
print(compact_files(Path(sys.argv[1]), model=None, small_bytes=1 << 20, dry_run=False))
"""


@pytest.mark.long
@pytest.mark.fault
def test_a_killed_compaction_loses_and_doubles_no_row(logs: Path, tmp_path: Path) -> None:
    rows, accounts = rows_of(logs), accounts_of(logs, "fraud")
    origin = copytree(logs, tmp_path / "origin")
    cut_short = 0
    for delay_s in (0.005 * step for step in range(8)):
        child = subprocess.Popen(
            [sys.executable, "-c", _COMPACT, str(logs)],
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        with child:
            assert child.stdout is not None
            child.stdout.readline()
            try:
                child.wait(delay_s)
            except subprocess.TimeoutExpired:
                child.send_signal(signal.SIGKILL)
                cut_short += 1

        assert (rows_of(logs), accounts_of(logs, "fraud")) == (rows, accounts)
        compact(logs)
        assert (rows_of(logs), accounts_of(logs, "fraud")) == (rows, accounts)
        rmtree(logs)
        copytree(origin, logs)
    assert cut_short
