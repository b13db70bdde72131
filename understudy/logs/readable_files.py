"""The files of a log that can be read together, and those that hide no others."""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from understudy.domain.merged_files import replaced_files
from understudy.logs.schema import SCHEMA_VERSION, VERSION_KEY, LogKind, schema_of_kind

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
    replaced = replaced_files({str(path): stated for path, (_, stated) in found.items()})
    current = [path for path in listed if str(path) not in replaced]
    readable = [path for path in current if found[path][0] is None]
    left_out = (LeftOut(path, why) for path in current if (why := found[path][0]))
    return readable, tuple(left_out)


def _judged(path: Path, expected: pa.Schema) -> tuple[str | None, Mapping[bytes, bytes]]:
    """Return why a file cannot be read with the others, None if it can, and its metadata."""
    try:
        schema = pq.read_schema(path)
    except (OSError, pa.ArrowException) as error:
        return (str(error).splitlines() or [type(error).__name__])[0], {}
    metadata: Mapping[bytes, bytes] = schema.metadata or {}
    return _fault_of(schema, metadata, expected), metadata


def _fault_of(
    schema: pa.Schema, metadata: Mapping[bytes, bytes], expected: pa.Schema
) -> str | None:
    stated = metadata.get(VERSION_KEY)
    if stated is None:
        return "a file of other software"
    if stated != SCHEMA_VERSION.encode():
        return f"version {stated.decode(errors='replace')} of the logs, and not {SCHEMA_VERSION}"
    return None if schema.equals(expected) else "columns of another log"
