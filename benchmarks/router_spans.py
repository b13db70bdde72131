"""The cost of spans on both fronts: off, on with calls that are not sampled, on with sampled ones.

All calls of a load have the trace of one caller. The collector is a thread of this process, so that
its work counts for no target.
"""

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc

from benchmarks.measure import (
    Measured,
    Target,
    alternate,
    median_cpu_us,
    median_latency_s,
    median_others_share,
    median_rate,
    median_ratio,
)
from benchmarks.request_path import (
    CHALLENGER,
    CHAMPION,
    RequestPath,
    at_router,
    open_request_path,
)
from benchmarks.rows import Effort, Row, Scenario
from understudy.runtime.front.choice import Front

_FRONTS = (Front.GRPC, Front.ENVOY)
_LEAST_RATIO = 0.97  # of the rate, while no call is sampled
_TRACE = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-"
_LOADS = {"off": (), "on, not sampled": (f"{_TRACE}00",), "on, sampled": (f"{_TRACE}01",)}


async def measure_spans(effort: Effort, folder: Path) -> list[Row]:
    with _collector() as on, _environment(on):
        async with open_request_path(folder) as path:
            entities = await path.entities_of(CHAMPION, 3) + await path.entities_of(CHALLENGER, 1)
            template = await path.target("spans", entities)
            targets: list[Target] = []
            for front in _FRONTS:
                targets += await _targets(path, front, template, on)
            measured = await alternate(targets, effort)
    return [_row(front, state, measured) for front in _FRONTS for state in _LOADS]


async def _targets(
    path: RequestPath, front: Front, template: Target, on: Mapping[str, str]
) -> list[Target]:
    own = {"ROUTER_FRONT": front.value}
    off = {"OTEL_TRACES_EXPORTER": "none"}
    without = await path.start_router_beside(f"router, {front.value}", {**own, **off})
    making = await path.start_router_beside(f"router, {front.value}, spans", {**own, **on})
    return [
        _with_headers(
            at_router(without if state == "off" else making, _name(front, state), template), headers
        )
        for state, headers in _LOADS.items()
    ]


def _with_headers(target: Target, headers: tuple[str, ...]) -> Target:
    return replace(target, load=replace(target.load, headers=headers))


def _name(front: Front, state: str) -> str:
    return f"spans {state}, {front.value} front"


@contextmanager
def _collector() -> Iterator[dict[str, str]]:
    """Answer exports with an empty message; yield the variables that lead there."""

    def export(_request: bytes, _context: Any) -> bytes:
        return b""

    server = grpc.server(ThreadPoolExecutor(1))
    handler: Any = grpc.unary_unary_rpc_method_handler(export)
    service = "opentelemetry.proto.collector.trace.v1.TraceService"
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(service, {"Export": handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield {
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
        }
    finally:
        server.stop(None).wait()


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Let processes inherit `variables`: scorers get them from their host."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            os.environ.pop(name)
        os.environ.update(before)


def _row(front: Front, state: str, measured: dict[str, list[Measured]]) -> Row:
    name = _name(front, state)
    ratio = median_ratio(measured[name], measured[_name(front, "off")])
    cpu_us = median_cpu_us(measured[name])
    p50_ms, p99_ms = (median_latency_s(measured[name], percent) * 1000 for percent in (50, 99))
    is_judged = state == "on, not sampled"
    return Row(
        name=name,
        requests_per_s=round(median_rate(measured[name]), 1),
        cpu_us_per_request=cpu_us,
        others_cpu_share=median_others_share(measured[name]),
        goal=f">= {_LEAST_RATIO} of the rate without" if is_judged else "for comparison",
        met=ratio >= _LEAST_RATIO if is_judged else None,
        note=f"{ratio:.2f} of the rate without; all processes {sum(cpu_us.values()):.0f} us a call; "
        f"latency p50 {p50_ms:.2f} ms, p99 {p99_ms:.1f} ms",
    )


SCENARIOS = (Scenario("spans", measure_spans),)
