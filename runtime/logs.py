"""One JSON object per line on stdout, in every process."""

import logging
import sys

import structlog

LEVELS = ("debug", "info", "warning", "error")


def configure_logs(process: str, *, level: str = "info") -> None:
    """Set up structlog for this process; call once, in its entry point.

    Args:
        process: bound to every line, e.g. "router-0" or "scorer:fraud@7".
        level: one of `LEVELS`.
    """
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(sort_keys=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stdout),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(process=process)
    # Libraries (grpc, asyncio) speak through logging: same stream, warnings only.
    logging.basicConfig(
        level=logging.WARNING,
        stream=sys.stdout,
        format='{"event": "library_message", "level": "%(levelname)s", "logger": "%(name)s"}',
        force=True,
    )
