"""Drive h2load (Debian: nghttp2-client) against a unary gRPC method and read what it counted."""

import asyncio
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.message import Message

from domain.errors import UnavailableError

_FRAME_PREFIX_BYTES = 5
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


@dataclass(frozen=True, slots=True)
class Load:
    """What to send: fixed requests, over and over, the connections shared among them."""

    address: str  # host:port
    method: str  # e.g. /understudy.v1.ScoringService/Score
    bodies: tuple[Path, ...]  # one gRPC frame each, see `write_frame`
    connections: int = 4
    in_flight: int = 16  # per connection


@dataclass(frozen=True, slots=True)
class Counted:
    """What h2load saw in one run."""

    requests: int  # that ended
    seconds: float
    failed: int  # failed, errored, timed out, or not 2xx
    answer_bytes: int  # in DATA frames: an error of gRPC has none
    mean_latency_s: float
    max_latency_s: float

    @property
    def requests_per_s(self) -> float:
        return self.requests / self.seconds


def require_h2load() -> None:
    """Return when h2load is there.

    Raises:
        UnavailableError: it is not; says how to get it.
    """
    if shutil.which("h2load") is None:
        raise UnavailableError("h2load", "not found; on Debian: apt install nghttp2-client")


def write_frame(path: Path, message: Message) -> Path:
    """Write `message` as the body of a unary gRPC request: flag, length, content."""
    content = message.SerializeToString()
    path.write_bytes(b"\0" + len(content).to_bytes(_FRAME_PREFIX_BYTES - 1) + content)
    return path


async def run_h2load(load: Load, *, seconds: float) -> Counted:
    """Send `load` for `seconds` and return what h2load counted.

    h2load knows one body, so there is a process of it per body, all at the same time.

    Raises:
        UnavailableError: h2load could not connect, or gave up.
    """
    share = load.connections // len(load.bodies)
    counts = await asyncio.gather(
        *(_run_one(load, body, connections=share, seconds=seconds) for body in load.bodies)
    )
    return _together(counts)


async def _run_one(load: Load, body: Path, *, connections: int, seconds: float) -> Counted:
    process = await asyncio.create_subprocess_exec(
        "h2load",
        f"--duration={seconds:g}",
        f"--clients={connections}",
        f"--max-concurrent-streams={load.in_flight}",
        f"--data={body}",
        "--header=content-type: application/grpc",
        "--header=te: trailers",
        f"http://{load.address}{load.method}",
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
    return read_counts(text)


def read_counts(text: str) -> Counted:
    """Read the closing lines of h2load."""
    finished = _match(r"finished in ([\d.]+)(us|ms|s)", text)
    outcome = _match(
        r"requests: (\d+) total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed, "
        r"(\d+) errored, (\d+) timeout",
        text,
    )
    ok = int(_match(r"status codes: (\d+) 2xx", text)[1])
    sent = _match(r"\(([\d]+)\) total, .*? \((\d+)\) headers .*?, .*? \((\d+)\) data", text)
    latency = _match(
        r"time for request:\s+([\d.]+)(us|ms|s)\s+([\d.]+)(us|ms|s)\s+([\d.]+)(us|ms|s)", text
    )
    return Counted(
        requests=int(outcome[3]),
        seconds=float(finished[1]) * _UNITS[finished[2]],
        failed=int(outcome[4]) + int(outcome[5]) + int(outcome[6]) + int(outcome[3]) - ok,
        answer_bytes=int(sent[3]),
        mean_latency_s=float(latency[5]) * _UNITS[latency[6]],
        max_latency_s=float(latency[3]) * _UNITS[latency[4]],
    )


def _together(counts: Sequence[Counted]) -> Counted:
    requests = sum(each.requests for each in counts)
    weighted_s = sum(each.mean_latency_s * each.requests for each in counts)
    return Counted(
        requests=requests,
        seconds=max(each.seconds for each in counts),
        failed=sum(each.failed for each in counts),
        answer_bytes=sum(each.answer_bytes for each in counts),
        mean_latency_s=weighted_s / requests if requests else 0.0,
        max_latency_s=max(each.max_latency_s for each in counts),
    )


def _match(pattern: str, text: str) -> re.Match[str]:
    found = re.search(pattern, text)
    if found is None:
        raise UnavailableError("h2load", f"said nothing like {pattern!r}: {text.strip()[-300:]}")
    return found
