"""The account of each writer of a model: rows offered, found, lost, and their numbers."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import pyarrow as pa

from understudy.logs.decisions.numbers import Range, missing_ranges
from understudy.logs.finished_files import Scope
from understudy.logs.journal import JournalReader
from understudy.logs.offered_rows import OfferedRows, read_counts
from understudy.logs.reader import LogReader, open_logs
from understudy.logs.schema import LogKind
from understudy.logs.statements import read_removals, read_statements
from understudy.logs.workspace import live_writers, unfinished_journals

_NUMBERS = pa.schema([pa.field("writer_id", pa.string()), pa.field("n", pa.int64())])


class WriterState(StrEnum):
    """The state of a writer, as far as its directory shows it."""

    WRITING = "writing"
    CLOSED = "closed"
    KILLED = "killed"
    UNKNOWN = "unknown"  # dead, and not stated yet; the next start of a writer does it


@dataclass(frozen=True, slots=True)
class WriterAccount:
    """The rows of one writer in one log of a model."""

    writer_id: str
    log: LogKind
    state: WriterState
    offered: int | None  # None: not known, so that rows may be missing after the last one found
    found: int  # in finished and unfinished files
    unfinished: int  # of them, those in unfinished files only
    removed: int  # by `logs erase` or `logs retain`
    dropped: int  # of the missing, those that found the queue full
    failed: int  # of the missing, those that could not be written
    repeated: int  # rows whose number another row has
    missing: tuple[Range, ...]  # numbers without a row; of a living writer, perhaps not yet

    @property
    def missing_rows(self) -> int:
        return sum(each.rows for each in self.missing)

    @property
    def is_whole(self) -> bool:
        """True if every row is known to be there, once."""
        return self.offered is not None and not self.missing and not self.repeated


def accounts_of(root: Path, model: str) -> tuple[WriterAccount, ...]:
    """Return the accounts of all writers of a model, by log and writer.

    Raises:
        NotFoundError: the directory does not exist.
        UnavailableError: the logs cannot be read.
    """
    found: list[WriterAccount] = []
    alive = live_writers(root)
    for kind in LogKind:
        # Unfinished files first: one that is finished in the meantime is read twice, not skipped.
        unfinished = _unfinished(root, kind, model)
        with open_logs(root, Scope(model)) as reader:
            reader.add("unfinished", unfinished)
            found += _accounts(root, reader, kind, model, alive)
    return tuple(found)


def _accounts(
    root: Path, reader: LogReader, kind: LogKind, model: str, alive: frozenset[str]
) -> Iterator[WriterAccount]:
    ranges: dict[str, list[Range]] = defaultdict(list)
    for row in reader.rows(_RANGES.format(kind=kind.value), {"model": model}):
        ranges[row["writer_id"]].append(Range(row["first"], row["last"]))
    counted = {
        row["writer_id"]: row
        for row in reader.rows(_COUNTS.format(kind=kind.value), {"model": model})
    }
    removed: dict[str, list[Range]] = defaultdict(list)
    for removal in read_removals(root, kind, model):
        for writer_id, of_writer in removal.by_writer:
            removed[writer_id] += of_writer
    statements = read_statements(root)
    stated = {each for each, s in statements.items() if s.of(kind, model) is not None}
    unstated = {each for each in alive if _counts(each, kind, model) is not None}
    for writer_id in sorted({*ranges, *removed, *stated, *unstated}):
        statement = statements.get(writer_id)
        if statement is not None:
            state = WriterState(statement.ended.value)
            offered = statement.of(kind, model)
        else:
            state = WriterState.WRITING if writer_id in alive else WriterState.UNKNOWN
            offered = _counts(writer_id, kind, model)
        present = [*ranges[writer_id], *removed[writer_id]]
        last = max((each.last for each in present), default=0)
        if offered is not None:
            last = max(last, offered.offered)
        counts = counted.get(writer_id, {"rows": 0, "distinct": 0, "finished": 0})
        yield WriterAccount(
            writer_id=writer_id,
            log=kind,
            state=state,
            offered=None if offered is None else offered.offered,
            found=counts["distinct"],
            unfinished=counts["distinct"] - counts["finished"],
            removed=sum(each.rows for each in removed[writer_id]),
            dropped=0 if offered is None else offered.dropped,
            failed=0 if offered is None else offered.failed,
            repeated=counts["rows"] - counts["finished"],
            missing=missing_ranges(present, last=last),
        )


def _counts(writer_id: str, kind: LogKind, model: str) -> OfferedRows | None:
    counts = read_counts(writer_id)
    return next((each for each in counts or () if (each.kind, each.model) == (kind, model)), None)


def _unfinished(root: Path, kind: LogKind, model: str) -> pa.Table:
    batches = []
    for path, of_model in unfinished_journals(root, kind):
        if of_model == model:
            try:
                for batch in JournalReader(path):
                    columns = [batch["writer_id"], batch["writer_sequence"]]
                    batches.append(pa.record_batch(columns, schema=_NUMBERS))
            except FileNotFoundError:
                continue  # finished since the listing
    return pa.Table.from_batches(batches, _NUMBERS)


# Consecutive numbers differ from their rank by the same amount.
_RANGES = """
    WITH numbers AS (
        SELECT writer_id, writer_sequence AS n FROM {kind} WHERE model = $model
        UNION SELECT writer_id, n FROM unfinished
    ),
    ranked AS (
        SELECT *, n - row_number() OVER (PARTITION BY writer_id ORDER BY n) AS island FROM numbers
    )
    SELECT writer_id, min(n) AS first, max(n) AS last FROM ranked GROUP BY writer_id, island
"""

_COUNTS = """
    WITH numbers AS (
        SELECT writer_id, writer_sequence AS n, true AS is_finished FROM {kind} WHERE model = $model
        UNION ALL SELECT writer_id, n, false FROM unfinished
    )
    SELECT writer_id, count(DISTINCT n) AS distinct,
           count(*) FILTER (is_finished) AS rows, count(DISTINCT n) FILTER (is_finished) AS finished
    FROM numbers GROUP BY writer_id
"""
