"""An endpoint for Prometheus in a process with an event loop."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from understudy.domain.errors import UnavailableError

_LONGEST_READ_S = 5.0  # limit on a scrape's wait for the event loop; then it fails


def serve_metrics(host: str, port: int, collector: Collector) -> Callable[[], None]:
    """Serve /metrics on `host:port` from daemon threads; return a function that stops it.

    Call it inside the event loop whose thread changes the state that `collector` reads, and call
    the returned function outside of it.

    Raises:
        UnavailableError: the address cannot be bound, e.g. the port is in use.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_ReadInLoop(collector, asyncio.get_running_loop()))
    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        raise UnavailableError(f"metrics address {host}:{port}", str(error)) from error

    def close() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return close


@asynccontextmanager
async def metrics_served(host: str, port: int | None, collector: Collector) -> AsyncIterator[None]:
    """Serve /metrics while the block runs; a port of None serves none. See `serve_metrics`.

    Raises:
        UnavailableError: the address cannot be bound, e.g. the port is in use.
    """
    if port is None:
        yield
        return
    close = serve_metrics(host, port, collector)
    try:
        yield
    finally:
        await asyncio.to_thread(close)  # a scrape in progress waits for this loop


class _ReadInLoop(Collector):
    """Collects in the event loop's thread: its dicts change while other threads iterate them."""

    def __init__(self, collector: Collector, loop: asyncio.AbstractEventLoop) -> None:
        self._collector = collector
        self._loop = loop

    def collect(self) -> Iterator[Metric]:
        async def read() -> list[Metric]:
            return list(self._collector.collect())

        reading = asyncio.run_coroutine_threadsafe(read(), self._loop)
        try:
            return iter(reading.result(_LONGEST_READ_S))
        except TimeoutError:
            reading.cancel()
            raise
