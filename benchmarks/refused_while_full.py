"""A registry that is full, and a call of each kind that it refuses for that."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc

from benchmarks.model import MODEL
from benchmarks.refused_by_registry import REGISTRY
from benchmarks.refused_kinds import Case, Kind, Shape, Target
from understudy.control.identity import ACTOR_KEY
from understudy.registry.v1 import registry_pb2

_FULL = grpc.StatusCode.RESOURCE_EXHAUSTED
_LONG_S = 3_000.0  # longer than a measurement takes
_PAUSE_S = 0.05
_MOST_WATCHES = 160  # of one address, by default
MOST_UPLOADS = 32  # of one address, as the registry is set for them
_REPORTING_HOSTS = 16


def refused_by_full_registry(registry: Target) -> Sequence[Case]:
    """Return calls for which the registry has no seat, or no room."""
    watch = registry_pb2.WatchRequest(watcher="w").SerializeToString()
    channel = registry.channel
    return (
        Case(
            Kind(
                f"registry: Watch, {_MOST_WATCHES} open",
                *(REGISTRY + "Watch", watch, Shape.ANSWERED_BY_STREAM, _FULL),
            ),
            registry,
            lambda: _open_watches(channel, watch),
        ),
        Case(
            Kind(
                f"registry: CheckVersion, {MOST_UPLOADS} open",
                *(REGISTRY + "CheckVersion", b"", Shape.UPLOAD, _FULL),
            ),
            registry,
            lambda: _open_uploads(channel),
        ),
        Case(
            Kind(
                "registry: ReportScorers, no room",
                *(REGISTRY + "ReportScorers", _largest_report(_REPORTING_HOSTS)),
                status=_FULL,
            ),
            registry,
            lambda: _reported(channel),
        ),
    )


@asynccontextmanager
async def _open_watches(channel: grpc.aio.Channel, body: bytes) -> AsyncIterator[None]:
    watch: Any = channel.unary_stream(REGISTRY + "Watch")
    calls = [watch(body, timeout=_LONG_S) for _ in range(_MOST_WATCHES)]
    for call in calls:
        await call.read()
    yield
    for call in calls:
        call.cancel()


@asynccontextmanager
async def _open_uploads(channel: grpc.aio.Channel) -> AsyncIterator[None]:
    upload: Any = channel.stream_unary(REGISTRY + "CheckVersion")
    who = ((ACTOR_KEY, "uploader"),)
    calls = [upload(timeout=_LONG_S, metadata=who) for _ in range(MOST_UPLOADS)]
    await asyncio.gather(*(call.wait_for_connection() for call in calls))
    await asyncio.sleep(_PAUSE_S)  # the registry has seated them
    yield
    for call in calls:
        call.cancel()


@asynccontextmanager
async def _reported(channel: grpc.aio.Channel) -> AsyncIterator[None]:
    """Send the largest legal reports of other hosts, until there is no room for more.

    Raises:
        LookupError: there was room for all of them.
    """
    report: Any = channel.unary_unary(REGISTRY + "ReportScorers")
    for host in range(_REPORTING_HOSTS):
        try:
            await report(_largest_report(host), timeout=_LONG_S)
        except grpc.aio.AioRpcError as error:
            if error.code() is not _FULL:
                raise
            break
    else:
        raise LookupError("no report was refused")
    yield


def _largest_report(host: int) -> bytes:
    process = registry_pb2.ScorerProcess(
        ref=registry_pb2.VersionRef(model=MODEL, number=1),
        address="h" * 290 + f":{9000 + host}",  # an address belongs to one host
        state=registry_pb2.SCORER_STATE_READY,
        last_error="x" * 1000,
    )
    report = registry_pb2.ReportScorersRequest(host_id=f"host-{host}", processes=[process] * 256)
    return report.SerializeToString()
