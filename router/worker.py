"""The life of one worker on either front: its logs, its failures, its exit code."""

import asyncio

import structlog

from router.app import OpenFront, serve
from router.books.request_log import REQUEST_EVENTS
from router.grpc_front import open_grpc_front
from router.settings import RouterSettings
from understudy.domain.errors import UnderstudyError
from understudy.runtime.exit_codes import OK
from understudy.runtime.logs import configure_logs
from understudy.runtime.supervision.outliving import outlive_parent
from understudy.runtime.terminal.failures import failure_of_several

_log = structlog.get_logger()


def configure_worker_logs(settings: RouterSettings, worker: int) -> None:
    configure_logs(f"router-{worker}", level=settings.log_level, unlimited=REQUEST_EVENTS)


async def run_worker(
    settings: RouterSettings,
    worker: int,
    stop: asyncio.Event,
    open_front: OpenFront = open_grpc_front,
) -> int:
    """Serve until `stop` is set; return the exit code."""
    lost = asyncio.Event()
    if settings.workers_outlive_s:
        lost = outlive_parent(longest_s=settings.workers_outlive_s + settings.stop_limit_s)
    try:
        await serve(settings, worker, stop, lost, open_front)
    except* UnderstudyError as errors:  # a task group wraps exceptions in a group
        failure = failure_of_several(errors)
        _log.error("worker_not_started", why="; ".join(failure.lines))
        exit_code = failure.exit_code
    else:
        exit_code = OK
    return exit_code
