"""h2load (Debian: nghttp2-client) as a load generator for a unary gRPC method."""

import asyncio
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from google.protobuf.message import Message
from numpy.typing import NDArray

from understudy.domain.errors import UnavailableError

_FRAME_PREFIX_BYTES = 5
_TIMEOUT = "5S"  # a busy machine must not turn slow answers into errors
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


@dataclass(frozen=True, slots=True)
class Load:
    """The load to send: fixed requests, repeated, with connections shared among them."""

    address: str  # host:port
    method: str  # e.g. /understudy.scoring.v1.ScoringService/Score
    bodies: tuple[Path, ...]  # one gRPC frame each, see `write_frame`
    connections: int = 4
    in_flight: int = 16  # per connection
    headers: tuple[str, ...] = ()  # further ones, each NAME: VALUE
    sent_per_s: int | None = None  # over all connections, answered or not; None: closed loop
    is_tls: bool = False  # it believes any certificate


@dataclass(frozen=True, slots=True)
class Counted:
    """The counts of one h2load run."""

    requests: int  # ended requests
    seconds: float
    failed: int  # failed, errored, timed out, or not 2xx
    answer_bytes: int  # in DATA frames: a gRPC error has none
    latencies_s: NDArray[np.float64]  # of each ended request

    @property
    def requests_per_s(self) -> float:
        return self.requests / self.seconds

    @property
    def mean_latency_s(self) -> float:
        return float(self.latencies_s.mean()) if self.latencies_s.size else 0.0

    def latency_s(self, percent: float) -> float:
        return float(np.percentile(self.latencies_s, percent)) if self.latencies_s.size else 0.0


def require_h2load() -> None:
    """Raise unless h2load is installed.

    Raises:
        UnavailableError: it is not installed; the message tells how to install it.
    """
    if shutil.which("h2load") is None:
        raise UnavailableError("h2load", "not found; on Debian: apt install nghttp2-client")


def write_frame(path: Path, message: Message, *, times: int = 1) -> Path:
    """Write `message` as the body of a gRPC request: flag, length, content.

    With `times` above one the body is for a streaming method: that many messages per call.
    """
    content = message.SerializeToString()
    frame = b"\0" + len(content).to_bytes(_FRAME_PREFIX_BYTES - 1) + content
    path.write_bytes(frame * times)
    return path


async def run_h2load(load: Load, *, seconds: float) -> Counted:
    """Send `load` for `seconds` and return h2load's counts.

    h2load accepts one body, so there is one process per body, all running at the same time.

    Raises:
        UnavailableError: h2load could not connect, or gave up.
    """
    share = load.connections // len(load.bodies)
    counts = await asyncio.gather(
        *(_run_one(load, body, connections=share, seconds=seconds) for body in load.bodies)
    )
    return _together(counts)


async def _run_one(load: Load, body: Path, *, connections: int, seconds: float) -> Counted:
    log = _new_log(body)
    rate = () if load.sent_per_s is None else (f"--rps={load.sent_per_s / load.connections:g}",)
    process = await asyncio.create_subprocess_exec(
        "h2load",
        *rate,
        f"--duration={seconds:g}",
        f"--clients={connections}",
        f"--max-concurrent-streams={load.in_flight}",
        f"--data={body}",
        "--header=content-type: application/grpc",
        "--header=te: trailers",
        f"--header=grpc-timeout: {_TIMEOUT}",
        *(f"--header={header}" for header in load.headers),
        f"--log-file={log}",
        f"{'https' if load.is_tls else 'http'}://{load.address}{load.method}",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), seconds + 20)
    finally:
        if process.returncode is None:
            process.kill()
    text = output.decode()
    if process.returncode != 0 or "finished in" not in text:
        raise UnavailableError("h2load", f"ended with {process.returncode}: {text.strip()[-300:]}")
    return read_counts(text, read_latencies(log))


def _new_log(body: Path) -> Path:
    log = Path(f"{body}.latencies")
    log.unlink(missing_ok=True)  # h2load appends
    return log


def read_latencies(log: Path) -> NDArray[np.float64]:
    """Read h2load's log: one line per ended request, with its duration in µs at the end."""
    if not log.exists():
        return np.empty(0)
    taken_us = [float(line.rpartition("\t")[2]) for line in log.read_text().splitlines()]
    return np.array(taken_us) / 1e6


def read_counts(text: str, latencies_s: NDArray[np.float64]) -> Counted:
    """Read the summary of h2load."""
    finished = _match(r"finished in ([\d.]+)(us|ms|s)", text)
    outcome = _match(
        r"requests: (\d+) total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed, "
        r"(\d+) errored, (\d+) timeout",
        text,
    )
    ok = int(_match(r"status codes: (\d+) 2xx", text)[1])
    sent = _match(r"\(([\d]+)\) total, .*? \((\d+)\) headers .*?, .*? \((\d+)\) data", text)
    done, lost = int(outcome[3]), sum(int(outcome[group]) for group in (4, 5, 6))
    return Counted(
        requests=done,
        seconds=float(finished[1]) * _UNITS[finished[2]],
        failed=lost + max(0, done - ok),  # a call in flight at the end may already count as 2xx
        answer_bytes=int(sent[3]),
        latencies_s=latencies_s,
    )


def _together(counts: Sequence[Counted]) -> Counted:
    return Counted(
        requests=sum(each.requests for each in counts),
        seconds=max(each.seconds for each in counts),
        failed=sum(each.failed for each in counts),
        answer_bytes=sum(each.answer_bytes for each in counts),
        latencies_s=np.concatenate([each.latencies_s for each in counts]),
    )


def _match(pattern: str, text: str) -> re.Match[str]:
    found = re.search(pattern, text)
    if found is None:
        raise UnavailableError("h2load", f"printed nothing like {pattern!r}: {text.strip()[-300:]}")
    return found
