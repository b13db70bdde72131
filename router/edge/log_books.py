"""The counts of a router's logs, for the status and the metrics of a worker."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from understudy.control.wire_enums import wire_values
from understudy.logs.decisions.drops import DropCause
from understudy.logs.schema import LogKind
from understudy.logs.shipping_report import ShippingReport, read_report
from understudy.logs.writer import LogWriter
from understudy.router.v1 import router_pb2

LOG_KINDS = wire_values(LogKind, router_pb2.LogKind, "LOG_KIND")
_READ_S = 5.0  # as often as it is written
_FATES = ("offered", "written", "dropped", "failed")
_WAITING = (
    ("waiting_files", "Finished log files that the store is not known to hold"),
    ("waiting_bytes", "Bytes of these files"),
    ("oldest_waiting_s", "Age of the oldest of these files in seconds"),
    ("local_bytes", "Bytes of all files below the log directory"),
)
_SINCE_START = (
    ("shipped_files", "Log files sent to the store since the shipping process started"),
    ("shipped_bytes", "Bytes of these files"),
    ("removed_files", "Shipped log files removed from the log directory"),
    ("faults", "Passes over the log files that the store or the disk cut short"),
)


class LogBooks:
    """Reads the log writer of a worker, and the reports of the router's shipping process."""

    def __init__(self, writer: LogWriter, reported_in: Path | None = None) -> None:
        """`reported_in`: folder of the shipping process's reports; None if logs are not shipped."""
        self._writer = writer
        self._reported_in = reported_in
        self._report: ShippingReport | None = None

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Read the reports of the shipping process while the block runs, if there is one."""
        if self._reported_in is None:
            yield
            return
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(self._follow())
            try:
                yield
            finally:
                task.cancel()

    async def _follow(self) -> None:
        while True:
            await asyncio.to_thread(self.read_report)
            await asyncio.sleep(_READ_S)

    def read_report(self) -> None:
        """Read the last report of the shipping process; it may wait for the disk."""
        if self._reported_in is not None:
            self._report = read_report(self._reported_in)

    def counts(self) -> list[router_pb2.LogCounts]:
        """Return the counts of each log."""
        counters = self._writer.counters()
        return [
            router_pb2.LogCounts(
                kind=LOG_KINDS[kind],
                offered=counters.of(kind).offered,
                written=counters.of(kind).written,
                dropped=counters.of(kind).dropped,
                failed=counters.of(kind).failed,
            )
            for kind in LogKind
        ]

    def shipping(self) -> router_pb2.LogShipping | None:
        """Return the last report; None without one."""
        report = self._report
        if report is None:
            return None
        return router_pb2.LogShipping(
            target=report.target,
            age_s=self._age_s(report),
            waiting_files=report.waiting_files,
            waiting_bytes=report.waiting_bytes,
            oldest_waiting_s=report.oldest_waiting_s,
            local_bytes=report.local_bytes,
            shipped_files=report.shipped_files,
            shipped_bytes=report.shipped_bytes,
            removed_files=report.removed_files,
            faults=report.faults,
            trouble=report.trouble,
        )

    def metrics(self) -> Iterator[Metric]:
        """Yield the metrics of the logs; those of shipping once there is a report."""
        counters = self._writer.counters()
        rows = CounterMetricFamily(
            "understudy_router_log_rows", "Rows of a log, by fate", labels=("log", "fate")
        )
        for kind in LogKind:
            for fate in _FATES:
                rows.add_metric((kind.value, fate), getattr(counters.of(kind), fate))
        yield rows
        dropped = CounterMetricFamily(
            "understudy_router_log_dropped_rows",
            "Rows that a log dropped, by the cause: backlog, unwritable, bound, closed",
            labels=("log", "cause"),
        )
        for kind in LogKind:
            for cause in DropCause:
                found = counters.of(kind).dropped_by.get(cause, 0)
                dropped.add_metric((kind.value, cause.value), found)
        yield dropped
        yield CounterMetricFamily(
            "understudy_router_log_faults", "Failed operations on the logs' disk", counters.faults
        )
        if (report := self._report) is None:
            return
        yield GaugeMetricFamily(
            "understudy_router_log_shipping_report_age_seconds",
            "Age of the last report of the shipping process in seconds",
            self._age_s(report),
        )
        for name, text in _WAITING:
            value = getattr(report, name)
            unit = name.removesuffix("_s") + "_seconds" if name.endswith("_s") else name
            yield GaugeMetricFamily(f"understudy_router_log_shipping_{unit}", text, value)
        for name, text in _SINCE_START:
            value = getattr(report, name)
            yield CounterMetricFamily(f"understudy_router_log_shipping_{name}", text, value)

    @staticmethod
    def _age_s(report: ShippingReport) -> float:
        return max(0.0, time.time_ns() / 1e9 - report.at_s)
