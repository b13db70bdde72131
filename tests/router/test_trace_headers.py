"""Traces from headers that gRPC's own client would not send."""

import asyncio

from router.edge.request_values import trace_of
from understudy.runtime.front.context import AsgiContext

SENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_of_two_parents_neither_counts() -> None:
    one, two = (context_with([SENT] * count) for count in (1, 2))

    assert trace_of(two) is None
    assert trace_of(one) is not None


async def test_a_header_that_is_no_ascii_is_no_context() -> None:
    assert trace_of(context_with([SENT + b"\xff"])) is None


def context_with(parents: list[bytes]) -> AsgiContext:
    headers = [(b"traceparent", parent) for parent in parents]
    return AsgiContext(headers, dict(headers), None, None, asyncio.get_running_loop())
