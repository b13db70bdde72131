"""Calls as the stages see them, for tests without a router."""

import asyncio
from collections.abc import Mapping
from typing import Any

from router.calls.call import Answer, Call, Candidates
from router.decisions.priority import Priority


def bare_call(
    name: str,
    *,
    live: Any = None,
    entities: Mapping[str, str] | None = None,
    arrived_s: float = 0.0,
    answer_by_s: float = 1.0,
    priority: Priority = Priority.LIVE,
    answer: Answer | None = None,
    rows: int = 1,
    candidates: Candidates | None = None,
) -> Call:
    """Return a call with `name` as request id and unit key; `live` may be None if it is not used."""
    return Call(
        live=live,
        request_id=name,
        unit_key=name,
        seat=0,
        entities=entities or {},
        arrived_s=arrived_s,
        answer_by_s=answer_by_s,
        priority=priority,
        answer=answer or asyncio.get_running_loop().create_future(),
        rows=rows if candidates is None else len(candidates.ids),
        candidates=candidates,
    )
