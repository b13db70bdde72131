"""Webhooks: recorded events go to a receiver, in order, again and again until it takes them."""

import asyncio
import random
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import structlog
from sqlalchemy import Engine

from registry.decisions.webhooks import (
    Message,
    Target,
    headers_of,
    message_of_change,
    message_of_refusals,
    pause_after_s,
)
from registry.server.live_state import LiveState
from registry.store import deliveries
from registry.store.database import reading, writing
from understudy.domain.errors import UnavailableError
from understudy.runtime.transport.http_post import post

_LOOK_EVERY_S = 2.0
_MOST_AT_ONCE = 50  # rows between two records of the deliveries
_ATTEMPT_S = 10.0
_TAKEN = range(200, 300)  # statuses

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Receiver:
    target: Target
    keys: tuple[bytes, ...]
    context: ssl.SSLContext | None  # None: plaintext


@dataclass(frozen=True, slots=True)
class _Due:
    """The next messages of a chain, by the numbers of their rows."""

    chain: str
    messages: Mapping[int, Message]


@dataclass(slots=True, eq=False)
class Webhooks:
    """Delivers the rows of the log and of refused attempts. For one event loop."""

    live: LiveState
    engine: Engine
    now: Callable[[], datetime]  # UTC
    receiver: Receiver
    delivered: int = 0  # messages that were taken, since the start
    failures: int = 0  # failed attempts in a row

    async def begin(self) -> None:
        """Let the first delivery ever begin with the next row; call it before the first change.

        Raises:
            UnavailableError: the database fails.
        """
        await self.live.run(self._begin)

    async def keep_delivered(self) -> None:
        """Deliver without end; after a failure pauses grow up to five minutes."""
        while True:
            try:
                await self.deliver()
            except UnavailableError as error:
                self.failures += 1
                _log.warning("webhook_not_delivered", error=str(error), failures=self.failures)
            except Exception:  # noqa: BLE001 - boundary of a task: the registry serves on
                self.failures += 1
                _log.exception("webhook_not_delivered", failures=self.failures)
            else:
                self.failures = 0
            chance = random.random()  # noqa: S311 - jitter, no secret
            pause_s = pause_after_s(self.failures, chance) if self.failures else _LOOK_EVERY_S
            await asyncio.sleep(pause_s)

    async def deliver(self) -> None:
        """Deliver all rows that the receiver has not taken.

        Raises:
            UnavailableError: the receiver does not take a message, or the database fails.
        """
        is_more = True
        while is_more:
            due = await self.live.run(self._due)
            for each in due:
                await self._send(each)
            is_more = any(len(each.messages) == _MOST_AT_ONCE for each in due)

    async def _send(self, due: _Due) -> None:
        taken = 0
        try:
            for sequence, message in due.messages.items():
                await self._attempt(message)
                taken = sequence
                self.delivered += 1
        finally:
            if taken:
                await self.live.run(partial(self._set_taken, due.chain, taken))

    async def _attempt(self, message: Message) -> None:
        receiver = self.receiver
        target = receiver.target
        status = await post(
            (target.host, target.port),
            target.path,
            message.body,
            headers_of(message, receiver.keys, self.now()),
            context=receiver.context,
            within_s=_ATTEMPT_S,
        )
        if status not in _TAKEN:
            why = f"it answered {message.id} with {status}"
            raise UnavailableError(f"receiver {target.host}:{target.port}", why)

    def _begin(self) -> None:
        with writing(self.engine) as connection:
            deliveries.begin(connection)

    def _due(self) -> Sequence[_Due]:
        with reading(self.engine) as connection:
            log = deliveries.taken(connection, deliveries.LOG) or 0
            refused = deliveries.taken(connection, deliveries.REFUSALS) or 0
            changes = deliveries.changes_after(connection, log, _MOST_AT_ONCE)
            attempts = deliveries.refusals_after(connection, refused, _MOST_AT_ONCE)
        return (
            _Due(deliveries.LOG, {e.row.sequence: message_of_change(e) for e in changes}),
            _Due(deliveries.REFUSALS, {e.sequence: message_of_refusals(e) for e in attempts}),
        )

    def _set_taken(self, chain: str, sequence: int) -> None:
        with writing(self.engine) as connection:
            deliveries.set_taken(connection, chain, sequence)
