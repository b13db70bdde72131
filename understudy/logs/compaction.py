"""Merging of small files: one in place of many, with the same rows, columns and metadata.

Memory holds one row group, whatever the number of files.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from understudy.domain.merged_files import REPLACES_KEY, replaces
from understudy.logs.access import access_of
from understudy.logs.decisions.merging import FoundFile, MergePolicy, merges_of
from understudy.logs.finished_files import Scope, finished_files
from understudy.logs.journal import write_rows
from understudy.logs.readable_files import FAULTS_OF_READING, is_damage, readable_files
from understudy.logs.replaced_files import (
    PARTIAL,
    finish_replacements,
    metadata_of,
    only_upkeep,
)
from understudy.logs.schema import LogKind
from understudy.runtime.synced_folder import sync_folder

_MOST_BYTES = 64 << 20  # as of the files that writers finish
_MOST_ROWS = 1_000_000
_MOST_FILES = 500  # their names are in the merged file


@dataclass(frozen=True, slots=True)
class Compaction:
    """The effect of a compaction."""

    rows: int  # in merged files
    files: int  # that were merged, and are gone
    into: int  # files in their place
    left_out: int  # that stay: damaged, beside a damaged one, or of other software or version


class _Kin(NamedTuple):
    folder: Path
    version: str  # of the model: the first part of a file's name
    metadata: frozenset[tuple[bytes, bytes]]


def compact_files(root: Path, *, model: str | None, small_bytes: int, dry_run: bool) -> Compaction:
    """Merge files smaller than `small_bytes` with others of their day, version and features.

    Raises:
        InvalidInputError: a link leads out of the directory.
        RefusedError: another process removes or merges files.
        OSError: a file cannot be written or removed; those before it are merged.
    """
    if dry_run:
        return _compact(root, Scope(model), _policy(small_bytes), dry_run=True)
    with only_upkeep(root):
        return _compact(root, Scope(model), _policy(small_bytes), dry_run=False)


def _policy(small_bytes: int) -> MergePolicy:
    return MergePolicy(
        small_bytes, most_bytes=_MOST_BYTES, most_rows=_MOST_ROWS, most_files=_MOST_FILES
    )


def _compact(root: Path, scope: Scope, policy: MergePolicy, *, dry_run: bool) -> Compaction:
    rows = files = into = left_out = 0
    for kind in LogKind:
        if not dry_run:
            finish_replacements(root, kind, scope)
        paths, unreadable = readable_files(finished_files(root, kind, scope), kind)
        left_out += len(unreadable)
        for group in merges_of(_found(paths), policy):
            if not dry_run and not _merge(root, group):
                left_out += len(group)
                continue
            rows += sum(each.rows for each in group)
            files, into = files + len(group), into + 1
    return Compaction(rows, files, into, left_out)


def _found(paths: Iterable[Path]) -> Iterator[FoundFile]:
    for path in paths:
        stated = {name: value for name, value in metadata_of(path).items() if name != REPLACES_KEY}
        version, _, _ = path.name.partition("-")
        kin = _Kin(path.parent, version, frozenset(stated.items()))
        footer = pq.read_metadata(path)
        yield FoundFile(str(path), kin, path.stat().st_size, footer.num_rows)


def _merge(root: Path, group: Sequence[FoundFile]) -> bool:
    """Merge the files; return whether it was done. They stay if one is damaged."""
    sources = [Path(each.name) for each in group]
    version, _, _ = sources[0].name.partition("-")
    target = sources[0].with_name(f"{version}-merged-{uuid4().hex}.parquet")
    partial = target.with_suffix(PARTIAL)
    stated = {**metadata_of(sources[0]), **replaces(path.name for path in sources)}
    try:
        written = write_rows(_rows_of(sources, stated), partial)
        if written != sum(each.rows for each in group):
            return False
        access_of(root).admit(partial)
        partial.replace(target)
    except FAULTS_OF_READING as error:
        if not is_damage(error):
            raise
        return False
    finally:
        partial.unlink(missing_ok=True)
    sync_folder(target.parent)
    for path in sources:
        path.unlink()
    return True


def _rows_of(sources: Iterable[Path], stated: Mapping[bytes, bytes]) -> Iterator[pa.RecordBatch]:
    for path in sources:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches():
                yield batch.replace_schema_metadata(dict(stated))
