"""The rule for which small files are merged. Pure."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MergePolicy:
    small_bytes: int  # smaller files are merged
    most_bytes: int  # of the files that are merged into one
    most_rows: int  # of the merged file
    most_files: int  # that are merged into one


@dataclass(frozen=True, slots=True)
class FoundFile:
    name: str
    kin: Hashable  # files of one folder, version, list of features and form of ids have the same
    size_bytes: int
    rows: int


def merges_of(files: Iterable[FoundFile], policy: MergePolicy) -> list[tuple[FoundFile, ...]]:
    """Return the groups of small files that become one file each, in the order of their names."""
    by_kin: dict[Hashable, list[FoundFile]] = defaultdict(list)
    for each in sorted(files, key=lambda file: file.name):
        if each.size_bytes < policy.small_bytes:
            by_kin[each.kin].append(each)
    return [group for kin in by_kin.values() for group in _groups(kin, policy) if len(group) > 1]


def _groups(files: Sequence[FoundFile], policy: MergePolicy) -> Iterator[tuple[FoundFile, ...]]:
    group: list[FoundFile] = []
    size_bytes = rows = 0
    for each in files:
        is_full = (
            size_bytes + each.size_bytes > policy.most_bytes or len(group) == policy.most_files
        )
        if group and (is_full or rows + each.rows > policy.most_rows):
            yield tuple(group)
            group, size_bytes, rows = [], 0, 0
        group.append(each)
        size_bytes += each.size_bytes
        rows += each.rows
    yield tuple(group)
