"""The result of a benchmark: one row per line of the table, and the file that stores them."""

import json
import platform
import subprocess
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

_MOST_OTHERS_SHARE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measurement. If no unary floor applies, `ratio_to_floor` is None."""

    name: str
    requests_per_s: float
    goal: str  # in words, e.g. ">= 0.75 of the floor"
    ratio_to_floor: float | None = None
    cpu_us_per_request: Mapping[str, float] = field(default_factory=dict)  # by process
    mean_batch_rows: float | None = None
    met: bool | None = None  # None if only reported
    others_cpu_share: float | None = None  # used by unrelated processes; above 0.1, do not trust
    note: str = ""  # other numbers of this row, and the exact subject of the measurement


@dataclass(frozen=True, slots=True)
class Effort:
    """The duration of a measurement."""

    rounds: int
    seconds: float  # of each load in each round


@dataclass(frozen=True, slots=True)
class Scenario:
    """A benchmark that can be selected by name; `names` are the names of its rows.

    A module `benchmarks/*_*.py` with a tuple `SCENARIOS` is discovered automatically.
    """

    name: str
    run: Callable[[Effort, Path], Coroutine[Any, Any, Sequence[Row]]]  # effort, scratch folder


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write all rows as a JSON list; each carries machine, commit and date."""
    circumstances = {
        "machine": machine(),
        "commit": commit(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    entries = [{**asdict(row), **circumstances} for row in rows]
    path.write_text(json.dumps(entries, indent=2) + "\n")


def show_rows(console: Console, rows: Sequence[Row]) -> None:
    table = Table(title=f"{machine()}, commit {commit()}", title_justify="left")
    for heading in ("benchmark", "per s", "to floor", "CPU µs per request", "mean batch", "goal"):
        table.add_column(heading, justify="right" if heading == "per s" else "left")
    for row in rows:
        cpu = ", ".join(f"{name} {cpu_us:.0f}" for name, cpu_us in row.cpu_us_per_request.items())
        verdict = {True: "met: ", False: "[red]missed:[/red] ", None: ""}[row.met]
        table.add_row(
            row.name,
            f"{row.requests_per_s:,.0f}",
            "" if row.ratio_to_floor is None else f"{row.ratio_to_floor:.2f}",
            cpu,
            "" if row.mean_batch_rows is None else f"{row.mean_batch_rows:.1f}",
            verdict + row.goal,
        )
    console.print(table)
    shares = [row.others_cpu_share for row in rows if row.others_cpu_share is not None]
    if shares and max(shares) > _MOST_OTHERS_SHARE:
        console.print(
            f"[yellow]other processes took up to {max(shares):.0%} of the CPUs: measure again on a "
            "quiet machine[/yellow]"
        )
    for row in rows:
        if row.note:
            console.print(f"{row.name}: {row.note}", style="dim", soft_wrap=True)


def machine() -> str:
    memory_gib = psutil.virtual_memory().total / 2**30
    return (
        f"{psutil.cpu_count()} x {_processor()}, {memory_gib:.0f} GiB, "
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    )


def commit() -> str:
    """Return the measured commit, with `-dirty` if files differ from it."""
    try:
        return subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=Path(__file__).parent,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
