"""Fronts under load: a flood above Envoy's cap stays in memory, and new certificates fail no call; counted."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest

from tests.runtime.front.fronts import FRONTS, LIMIT_S, WITH_ENVOY, ServedFront, served_front
from tests.runtime.front.sample_worker import MOST_CALLS
from tests.runtime.front.samples import SERVICE
from tests.runtime.transport.authorities import Authority
from tests.stack.waiting import until
from understudy.client.error_details import details_of
from understudy.runtime.transport.tls_files import TlsFiles
from understudy.runtime.transport.transport import Transport

pytestmark = [pytest.mark.fault, pytest.mark.slow]
Code = grpc.StatusCode
HOST = "127.0.0.1"
CONNECTIONS, IN_FLIGHT = 4, 16
FLOOD = 4_000  # calls
BODY = bytes(60_000)
MOST_GROWTH_BYTES = 32 << 20  # of 180 MB that are sent in the meantime
ROTATIONS = 3
CALLS = 50  # after each of them
OWN_CONNECTION: Sequence[tuple[str, int]] = (("grpc.use_local_subchannel_pool", 1),)


@contextmanager
def secured(
    front: str, folder: Path, *, is_tls: bool
) -> Iterator[tuple[ServedFront, bytes | None]]:
    """Serve; yield the authority to trust too, None for plaintext."""
    if not is_tls:
        with served_front(front) as served:
            yield served, None
        return
    authority = Authority(folder / "first")
    trust = Transport(TlsFiles(ca=authority.ca_file))
    with served_front(front, transport=Transport(authority.files_of(HOST)), trust=trust) as served:
        yield served, authority.ca_file.read_bytes()


def opened(served: ServedFront, trusted: bytes | None) -> grpc.aio.Channel:
    if trusted is None:
        return grpc.aio.insecure_channel(served.address, options=OWN_CONNECTION)
    credentials = grpc.ssl_channel_credentials(trusted)
    return grpc.aio.secure_channel(served.address, credentials, options=OWN_CONNECTION)


@asynccontextmanager
async def full(channel: grpc.aio.Channel) -> AsyncIterator[None]:
    """Take each place below the cap."""
    hold: Any = channel.unary_unary(f"/{SERVICE}/Hold")
    calls = [hold(b"") for _ in range(MOST_CALLS + 1)]
    ending = [asyncio.ensure_future(call.code()) for call in calls]
    done, _ = await asyncio.wait(ending, return_when=asyncio.FIRST_COMPLETED)
    assert {each.result() for each in done} == {Code.UNAVAILABLE}
    yield
    for call in calls:
        call.cancel()
    await asyncio.gather(*ending)


async def flood(channels: Sequence[grpc.aio.Channel], calls: int) -> Counter[str]:
    """Make calls, some at a time on each connection; return how they ended."""
    ends: Counter[str] = Counter()

    async def call_on(channel: grpc.aio.Channel, count: int) -> None:
        echo: Any = channel.unary_unary(f"/{SERVICE}/Echo")
        for _ in range(count):
            try:
                await echo(BODY, timeout=LIMIT_S)
            except grpc.aio.AioRpcError as error:
                told = details_of(error)
                ends[f"{error.code().name}, again after {told.retry_after_s} s"] += 1
            else:
                ends["OK"] += 1

    share = calls // (len(channels) * IN_FLIGHT)
    async with asyncio.TaskGroup() as tasks:
        for channel in channels:
            for _ in range(IN_FLIGHT):
                tasks.create_task(call_on(channel, share))
    return ends


@WITH_ENVOY
@pytest.mark.parametrize("is_tls", [False, True], ids=["plaintext", "tls"])
async def test_a_flood_above_the_cap_is_refused_and_kept_out_of_memory(
    is_tls: bool, tmp_path: Path
) -> None:
    async with AsyncExitStack() as resources:
        served, trusted = resources.enter_context(secured("envoy", tmp_path, is_tls=is_tls))
        channels = [
            await resources.enter_async_context(opened(served, trusted)) for _ in range(CONNECTIONS)
        ]
        process = psutil.Process(served.process.pid)
        async with full(channels[0]):
            ends = await flood(channels, FLOOD // 4)
            before_bytes = process.memory_info().rss
            ends += await flood(channels, FLOOD)
            grown_bytes = process.memory_info().rss - before_bytes

    print(f"{dict(ends)}, {grown_bytes >> 20:+} MiB")  # noqa: T201 - the counts
    assert set(ends) == {"UNAVAILABLE, again after 0.02 s"}
    assert grown_bytes < MOST_GROWTH_BYTES


@pytest.mark.parametrize("front", FRONTS)
async def test_new_certificates_fail_no_call_on_open_and_on_new_connections(
    front: str, tmp_path: Path
) -> None:
    first, *later = [Authority(tmp_path / str(number)) for number in range(ROTATIONS + 1)]
    trusted = b"".join(each.ca_file.read_bytes() for each in (first, *later))
    files, trust = first.files_of(HOST), Transport(TlsFiles(ca=first.ca_file))
    async with AsyncExitStack() as resources:
        served = resources.enter_context(
            served_front(front, transport=Transport(files), trust=trust)
        )
        kept = await resources.enter_async_context(opened(served, trusted))
        callers = Callers(served, trusted)
        async with asyncio.TaskGroup() as tasks:
            calling = [tasks.create_task(callers.run(each)) for each in (kept, kept, None, None)]
            await callers.until_more_ended()
            for authority in later:
                authority.files_of(HOST, home=first.folder / "own")
                await until(partial(is_served_by, served, authority))
                await callers.until_more_ended()
            for task in calling:
                task.cancel()

    print(front, dict(callers.ends))  # noqa: T201 - the counts
    assert set(callers.ends) == {("open", Code.OK), ("new", Code.OK)}


class Callers:
    """Callers over an open connection, or over a new one for each call."""

    def __init__(self, served: ServedFront, trusted: bytes) -> None:
        self.ends: Counter[tuple[str, grpc.StatusCode]] = Counter()  # by kind of connection
        self._served = served
        self._trusted = trusted

    async def run(self, kept: grpc.aio.Channel | None) -> None:
        """Call until this is cancelled; `kept`: None for new connections."""
        while True:
            if kept is not None:
                await self._call_on(kept, "open")
                continue
            async with opened(self._served, self._trusted) as channel:
                await self._call_on(channel, "new")

    async def until_more_ended(self) -> None:
        """Return once both kinds of connections had more calls."""
        before = self.ends.copy()

        async def have() -> bool:
            more = self.ends - before
            return {kind for kind, _ in more} == {"open", "new"} and more.total() >= CALLS

        await until(have)

    async def _call_on(self, channel: grpc.aio.Channel, kind: str) -> None:
        echo: Any = channel.unary_unary(f"/{SERVICE}/Echo")
        self.ends[kind, await echo(b"a", timeout=LIMIT_S).code()] += 1


async def is_served_by(served: ServedFront, authority: Authority) -> bool:
    """Return whether a new connection gets a certificate of `authority`."""
    async with opened(served, authority.ca_file.read_bytes()) as channel:
        echo: Any = channel.unary_unary(f"/{SERVICE}/Echo")
        return await echo(b"a", timeout=LIMIT_S).code() is Code.OK
