"""The shipping process of a router, kept running beside its workers, and ended after them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from router.settings import RouterSettings
from router.worker_environment import worker_environment
from understudy.domain.restarts import GiveUp, Restart, RestartPolicy
from understudy.runtime.supervision.child import Child, ChildSpec, start_child
from understudy.runtime.supervision.ending import Ending
from understudy.runtime.supervision.keeper import Care, Keeper, Kept

_RESTARTS = RestartPolicy(
    first_back_off_s=1.0,
    longest_back_off_s=30.0,
    budget=None,  # otherwise the logs would fill the disk up to their bound
    window_s=60.0,
)
_log = structlog.get_logger()


@asynccontextmanager
async def shipping_logs(settings: RouterSettings) -> AsyncIterator[None]:
    """Ship the logs while the block runs, and their last files after it; do nothing without a target."""
    if not settings.log_target:
        yield
        return
    ended = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        care = Care(_RESTARTS, settings.last_shipping_s)
        tasks.create_task(Keeper(_Shipper(settings), care, ended).run())
        try:
            yield
        finally:
            ended.set()


class _Shipper(Kept):
    """The process that ships; the workers serve while it is down."""

    name = "shipper"

    def __init__(self, settings: RouterSettings) -> None:
        arguments = ("-m", "router", "ship")
        self._spec = ChildSpec(arguments, environment=worker_environment(settings))

    async def start(self, stop: asyncio.Event) -> Child | None:
        return None if stop.is_set() else await start_child(self._spec)

    def starts_again(self, ending: Ending, plan: Restart) -> None:
        _log.error("log_shipper_died", why=ending.why, again_s=round(plan.after_s, 3))

    def starts_later(self, why: str, plan: Restart) -> None:
        _log.error("log_shipper_not_started", why=why, again_s=round(plan.after_s, 3))

    async def rests(self, ending: Ending, given_up: GiveUp | None) -> bool:
        _log.error("log_shipper_stays_down", why=ending.why, given_up=str(given_up or ""))
        return False
