"""The files of a log that can be read together, and those that hide no others."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from understudy.logs.schema import SCHEMA_VERSION, VERSION_KEY, LogKind, schema_of_kind

_THREADS = 4  # footers are small, so most of the time is waiting for the disk


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file below the log directory that is not read."""

    path: Path
    why: str


def readable_files(paths: Iterable[Path], kind: LogKind) -> tuple[list[Path], tuple[LeftOut, ...]]:
    """Return the files with the columns of `kind`, and the others with the reason."""
    expected = schema_of_kind(kind)
    with ThreadPoolExecutor(_THREADS) as threads:
        listed = list(paths)
        faults = list(threads.map(lambda path: _fault_of(path, expected), listed))
    readable = [path for path, why in zip(listed, faults, strict=True) if why is None]
    left_out = (LeftOut(path, why) for path, why in zip(listed, faults, strict=True) if why)
    return readable, tuple(left_out)


def _fault_of(path: Path, expected: pa.Schema) -> str | None:
    """Return why a file cannot be read with the others; None if it can."""
    try:
        schema = pq.read_schema(path)
    except (OSError, pa.ArrowException) as error:
        return (str(error).splitlines() or [type(error).__name__])[0]
    stated = (schema.metadata or {}).get(VERSION_KEY)
    if stated is None:
        return "a file of other software"
    if stated != SCHEMA_VERSION.encode():
        return f"version {stated.decode(errors='replace')} of the logs, and not {SCHEMA_VERSION}"
    return None if schema.equals(expected) else "columns of another log"
