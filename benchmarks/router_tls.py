"""The cost of TLS for `Score`: workers of either front with it and without, in turns in one run.

Connections stay open, as callers' channels do: handshakes are not measured.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

import trustme

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
from benchmarks.request_path import CHALLENGER, CHAMPION, RequestPath, open_request_path
from benchmarks.rows import Effort, Row, Scenario
from understudy.runtime.front.choice import Front
from understudy.runtime.transport.tls_files import TlsFiles
from understudy.runtime.transport.transport import LOCAL, Transport

LEAST_RATIO = 0.85
_FRONTS = (Front.GRPC, Front.ENVOY)


async def measure_tls(effort: Effort, folder: Path) -> list[Row]:
    """Measure four entities on both arms over four workers, which share scorers and features."""
    files = _certificate(folder)
    async with open_request_path(folder) as path:
        entities = await path.entities_of(CHAMPION, 3) + await path.entities_of(CHALLENGER, 1)
        targets = [
            await _target(path, front, own, entities) for front in _FRONTS for own in (None, files)
        ]
        measured = await alternate(targets, effort)
    return [row for front in _FRONTS for row in _rows(front, measured)]


def _certificate(folder: Path) -> TlsFiles:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    files = TlsFiles(folder / "certificate.pem", folder / "key.pem", folder / "ca.pem")
    (folder / "certificate.pem").write_bytes(b"".join(c.bytes() for c in issued.cert_chain_pems))
    (folder / "key.pem").touch(mode=0o600)
    (folder / "key.pem").write_bytes(issued.private_key_pem.bytes())
    (folder / "ca.pem").write_bytes(authority.cert_pem.bytes())
    return files


async def _target(
    path: RequestPath, front: Front, files: TlsFiles | None, entities: Sequence[str]
) -> Target:
    """Start one worker, and return the load on it with its own processes and the scorers'."""
    name = _name(front, has_tls=files is not None)
    paths = {} if files is None else {"CERTIFICATE": files.certificate, "KEY": files.key}
    target = await path.start_worker_beside(
        name,
        entities,
        front=front,
        environment={f"ROUTER_TLS_{each}": str(at) for each, at in paths.items()},
        transport=LOCAL if files is None else Transport(TlsFiles(ca=files.ca)),
    )
    served = {each: pid for each, pid in target.processes.items() if each in (name, "scorers")}
    load = replace(target.load, is_tls=files is not None)
    return replace(target, load=load, processes=served)


def _name(front: Front, *, has_tls: bool) -> str:
    return f"score, {front.value} front, {'TLS' if has_tls else 'plaintext'}"


def _rows(front: Front, measured: dict[str, list[Measured]]) -> list[Row]:
    plain, secret = (measured[_name(front, has_tls=each)] for each in (False, True))
    ratio = median_ratio(secret, plain)
    cpu_ratio = median(
        sum(without.cpu_us_per_request.values()) / sum(each.cpu_us_per_request.values())
        for each, without in zip(secret, plain, strict=True)
    )
    return [
        _row(_name(front, has_tls=False), plain, goal="the reference of the next row"),
        replace(
            _row(_name(front, has_tls=True), secret, goal=f">= {LEAST_RATIO} of plaintext"),
            met=ratio >= LEAST_RATIO,
            note=f"{ratio:.3f} of the rate in plaintext; of all CPU per call, {cpu_ratio:.3f} is not "
            f"that of TLS; p99 {median_latency_s(secret, 99) * 1000:.1f} ms",
        ),
    ]


def _row(name: str, measured: Sequence[Measured], *, goal: str) -> Row:
    return Row(
        name=name,
        requests_per_s=round(median_rate(measured), 1),
        cpu_us_per_request=median_cpu_us(measured),
        others_cpu_share=median_others_share(measured),
        goal=goal,
        note=f"p99 {median_latency_s(measured, 99) * 1000:.1f} ms",
    )


SCENARIOS = (Scenario("tls", measure_tls),)
