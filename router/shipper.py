"""The process that ships the logs of a router to an object store: apart, so that no call waits for it."""

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import structlog

from router.settings import RouterSettings
from understudy.domain.store_urls import parse_store_url
from understudy.logs.decisions.shipping import ShippingPolicy
from understudy.logs.shipping import Shipper, only_shipper
from understudy.logs.shipping_report import ShippingReport, write_report
from understudy.runtime.exit_codes import OK
from understudy.runtime.object_store import ObjectStore
from understudy.runtime.unless_stopped import unless_stopped

_PASS_S = 5.0  # from the end of one pass to the next
_log = structlog.get_logger()


def open_target(settings: RouterSettings) -> ObjectStore:
    """Return the store that gets the logs.

    Raises:
        InvalidInputError: the URL names none, or the extra of its library is not installed.
        UnavailableError: it is a folder that cannot be created.
    """
    return ObjectStore.open(parse_store_url(settings.log_target, field="log_target"))


async def run_shipper(settings: RouterSettings, stop: asyncio.Event) -> int:
    """Ship until `stop` is set, then once more; return the exit code.

    Raises:
        The errors of `open_target`.
    """
    policy = ShippingPolicy(keep_s=settings.log_keep_s, most_local_bytes=settings.most_log_bytes)
    shipper = Shipper(settings.log_dir, open_target(settings), policy)
    is_in_trouble = False
    while True:
        is_last = stop.is_set()  # the workers have ended by then: all their files are there
        report = await asyncio.to_thread(_ship, shipper, settings.state_dir)
        if report.trouble and not is_in_trouble:
            _log.error("log_shipping_failed", target=report.target, why=report.trouble)
        elif is_in_trouble and not report.trouble:
            _log.info("log_shipping_again", target=report.target, faults=report.faults)
        is_in_trouble = bool(report.trouble)
        if is_last:
            break
        await unless_stopped(stop, asyncio.sleep(_PASS_S))
    if report.waiting_files:
        _log.warning("log_not_shipped", files=report.waiting_files, bytes=report.waiting_bytes)
    return OK


def _ship(shipper: Shipper, state_dir: Path) -> ShippingReport:
    now_s = time.time_ns() / 1e9
    try:
        with only_shipper(shipper.root) as is_only:
            if is_only:
                shipper.ship(now_s)
            else:
                shipper.idle_report(now_s)
        write_report(state_dir, shipper.report)
    except OSError as error:
        return replace(shipper.report, trouble=str(error))
    return shipper.report
