"""Logs of every process: one JSON object per line on stdout.

A line that cannot be written is lost: a full disk below the log must not end the process.
"""

import io
import logging
import sys
from collections.abc import Collection, MutableMapping
from contextlib import suppress
from typing import Any, TextIO

import structlog

from understudy.runtime.line_limit import LibraryLines, LineLimit

LEVELS = ("debug", "info", "warning", "error")


def configure_logs(process: str, *, level: str = "info", unlimited: Collection[str] = ()) -> None:
    """Set up structlog for this process; call once, in its entry point.

    Args:
        process: bound to every line, e.g. "router-0" or "scorer:fraud@7".
        level: one of `LEVELS`.
        unlimited: events that may have any number of lines, see `LineLimit`.
    """
    stdout = _lossy(sys.stdout)
    limit = LineLimit(unlimited=unlimited)
    structlog.configure(
        processors=[
            limit,  # first: a line that is left out costs nothing more
            _Named(process),
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(sort_keys=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.WriteLoggerFactory(file=stdout),
        cache_logger_on_first_use=True,
    )
    _log_libraries_likewise(stdout, limit, _Named(process))


class _Named:
    """Adds the process to each line. Not a context variable: other threads would not have it."""

    def __init__(self, process: str) -> None:
        self._process = process

    def __call__(
        self, _logger: Any, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        event["process"] = self._process
        return event


class _LossyFile(io.RawIOBase):
    """Writes to a file descriptor, and always reports success."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._file = io.FileIO(descriptor, "w", closefd=False)

    def writable(self) -> bool:
        return True

    def write(self, content: Any, /) -> int:
        written: int | None = None
        with suppress(OSError):
            written = self._file.write(content)
        return memoryview(content).nbytes if written is None else written


def _lossy(stream: TextIO) -> TextIO:
    return io.TextIOWrapper(
        io.BufferedWriter(_LossyFile(stream.fileno())), encoding="utf-8", write_through=True
    )


def _log_libraries_likewise(stdout: TextIO, limit: LineLimit, named: _Named) -> None:
    """Let libraries that use logging (grpc, asyncio) write the same kind of lines."""
    handler = logging.StreamHandler(stdout)
    handler.addFilter(LibraryLines(limit))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                named,
                structlog.contextvars.merge_contextvars,
                structlog.stdlib.add_logger_name,
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
