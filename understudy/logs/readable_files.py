"""The files of a log that can be read together, and those that hide no others."""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from understudy.domain.merged_files import replaced_files
from understudy.logs.schema import SCHEMA_VERSION, VERSION_KEY, LogKind, schema_of_kind

FAULTS_OF_READING = (OSError, pa.ArrowException, UnicodeError)  # damaged UTF-8 is Python's own
_THREADS = 4  # footers are small, so most of the time is waiting for the disk


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file below the log directory that is not read."""

    path: Path
    why: str


def readable_files(paths: Iterable[Path], kind: LogKind) -> tuple[list[Path], tuple[LeftOut, ...]]:
    """Return the files with the columns of `kind`, and the others with the reason.

    Files that a merged one has replaced are in neither.
    """
    expected = schema_of_kind(kind)
    with ThreadPoolExecutor(_THREADS) as threads:
        listed = list(paths)
        found = dict(zip(listed, threads.map(lambda p: _judged(p, expected), listed), strict=True))
    replaced = _replaced(found)
    current = [path for path in listed if str(path) not in replaced]
    readable = [path for path in current if found[path][0] is None]
    left_out = (LeftOut(path, why) for path in current if (why := found[path][0]))
    return readable, tuple(left_out)


def is_damage(error: Exception) -> bool:
    """Return whether one of `FAULTS_OF_READING` is of the file's bytes, and not of the disk."""
    return not isinstance(error, OSError) or error.errno is None  # Arrow's own have none


def replaced_by(paths: Iterable[Path], kind: LogKind) -> frozenset[str]:
    """Return the paths that merged ones among these files of a log have replaced."""
    return _replaced({path: _judged(path, schema_of_kind(kind)) for path in paths})


def _replaced(found: Mapping[Path, tuple[str | None, Mapping[bytes, bytes]]]) -> frozenset[str]:
    # A file that cannot be read replaces none: it would hide their rows, or end them.
    ours = {str(path): stated for path, (fault, stated) in found.items() if fault is None}
    return replaced_files(ours)


def _judged(path: Path, expected: pa.Schema) -> tuple[str | None, Mapping[bytes, bytes]]:
    """Return why a file cannot be read with the others, None if it can, and its metadata."""
    try:
        schema = pq.read_schema(path)
        return fault_of(schema, expected), schema.metadata or {}
    except FAULTS_OF_READING as error:
        return (str(error).splitlines() or [type(error).__name__])[0], {}


def fault_of(schema: pa.Schema, expected: pa.Schema) -> str | None:
    """Return why a file with this schema cannot be read with those of a log; None if it can."""
    stated = (schema.metadata or {}).get(VERSION_KEY)
    if stated is None:
        return "a file of other software"
    if stated != SCHEMA_VERSION.encode():
        return f"version {stated.decode(errors='replace')} of the logs, and not {SCHEMA_VERSION}"
    return None if schema.equals(expected) else "columns of another log"
