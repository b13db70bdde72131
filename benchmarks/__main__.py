"""`python -m benchmarks`: runs the measurements, prints a table, writes benchmarks/latest.json."""

import asyncio
import importlib
import pkgutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

import benchmarks
from benchmarks.h2load import require_h2load
from benchmarks.rows import Effort, Row, Scenario, show_rows, write_rows
from understudy.domain.errors import UnavailableError
from understudy.runtime import exit_codes

_KEPT = Path(".understudy") / "benchmarks"  # trained models, kept for the next run
_FIRST = "score"  # the main result is shown first
_WIDTH = 150  # of the table in a file
_LATEST = Path(__file__).parent / "latest.json"


def main(
    *,
    only: Annotated[
        str, typer.Option(help="Scenarios to run, separated by commas; empty for all.")
    ] = "",
    rounds: Annotated[int, typer.Option(min=1, max=100)] = 3,
    seconds: Annotated[
        int, typer.Option(min=1, max=600, help="Duration of each load in each round.")
    ] = 4,
    output: Annotated[Path, typer.Option(help="JSON file to write.")] = _LATEST,
    show_list: Annotated[bool, typer.Option("--list", help="List the scenarios.")] = False,
) -> None:
    """Measure against a no-op gRPC server in the same run; needs h2load."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH)
    scenarios = find_scenarios()
    if show_list:
        console.print("\n".join(sorted(scenarios)))
        return
    wanted = [name.strip() for name in only.split(",") if name.strip() not in {"", "floor"}]
    if strangers := sorted(set(wanted) - set(scenarios)):
        print(
            f"benchmarks: no scenario {', '.join(strangers)}; known: {', '.join(sorted(scenarios))}",
            file=sys.stderr,
        )
        raise typer.Exit(exit_codes.USAGE)
    try:
        require_h2load()
        chosen = [scenarios[name] for name in wanted] or list(scenarios.values())
        rows = _run(console, chosen, Effort(rounds, seconds))
    except UnavailableError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        raise typer.Exit(exit_codes.UNAVAILABLE) from error
    show_rows(console, rows)
    write_rows(output, rows)
    console.print(f"written to {output}")


def find_scenarios() -> dict[str, Scenario]:
    """Return the scenarios of all modules `benchmarks/*_*.py`, by name."""
    modules = (
        importlib.import_module(f"benchmarks.{each.name}")
        for each in pkgutil.iter_modules(benchmarks.__path__)
        if "_" in each.name.strip("_")
    )
    found = [each for module in modules for each in getattr(module, "SCENARIOS", ())]
    found.sort(key=lambda scenario: scenario.name != _FIRST)
    return {scenario.name: scenario for scenario in found}


def _run(console: Console, scenarios: Sequence[Scenario], effort: Effort) -> list[Row]:
    rows: list[Row] = []
    _KEPT.mkdir(parents=True, exist_ok=True)
    for scenario in scenarios:
        console.print(f"measuring {scenario.name} …", style="dim")
        with tempfile.TemporaryDirectory(dir=_KEPT, prefix="run-") as scratch:
            rows += asyncio.run(scenario.run(effort, Path(scratch)))
    return rows


if __name__ == "__main__":
    typer.run(main)
