"""The check of a store: availability, latency and clock skew."""

from dataclasses import dataclass
from time import monotonic

from understudy.features.stores import isolated_store, measure_clock_skew_s, require_store


@dataclass(frozen=True, slots=True)
class PingReport:
    store: str
    reads: int
    p50_ms: float
    p99_ms: float
    clock_skew_s: float | None  # the server's clock ahead of ours, to the second; None: unknown


async def ping_store(url: str, *, count: int, timeout_s: float) -> PingReport:
    """Read `count` times from the store at `url`.

    Raises:
        InvalidInputError: `url` names no known kind of store.
        NotFoundError: it names a folder without a store.
        UnavailableError: the store does not answer, or its namespace does not exist.
    """
    require_store(url)
    clock_skew_s = measure_clock_skew_s(
        url
    )  # this gives the best reason if the store cannot be used
    async with isolated_store(url) as store:
        await store.ping(timeout_s=timeout_s)  # opens the connection
        times_ms: list[float] = []
        for _ in range(count):
            started_s = monotonic()
            await store.ping(timeout_s=timeout_s)
            times_ms.append((monotonic() - started_s) * 1000)
    times_ms.sort()
    return PingReport(
        store=url,
        reads=count,
        p50_ms=times_ms[count // 2],
        p99_ms=times_ms[min(count - 1, count * 99 // 100)],
        clock_skew_s=clock_skew_s,
    )
