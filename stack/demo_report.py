"""What the demo prints. Tables by rich; a progress bar on a terminal, plain lines elsewhere."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from stack.data_directory import DataDirectory
from stack.decisions.demo_checks import Call, Check, Facts
from stack.processes import Stack
from stack.rollout import Finding
from stack.traffic import Traffic
from stack.training import CONVERSION_TOLERANCE, MODEL, Patients, Trained
from stack.up import show_addresses
from understudy.comparison.compare import ComparisonReport
from understudy.domain.deployments import DegradationLevel
from understudy.domain.errors import UnderstudyError

_LEVELS = {
    DegradationLevel.FULL: "L0 full",
    DegradationLevel.FEATURES: "L1 defaulted or stale features",
    DegradationLevel.FALLBACK: "L2 fallback",
    DegradationLevel.CONSTANT: "L3 constant",
}


_QUERY = (
    "SELECT version, arm, count(*) AS requests, avg(score) AS mean_score "
    "FROM FILES GROUP BY ALL ORDER BY ALL"
)


class StageProgress:
    """Counts calls as they end; one bar over all stages, or a line at the end of each."""

    def __init__(self, console: Console, bar: Progress | None, total: int) -> None:
        self._console = console
        self._bar = bar
        self._task = None if bar is None else bar.add_task("", total=total)
        self._aim = 0

    async def stage(self, title: str, traffic: Traffic, calls: int) -> None:
        """Return once so many more calls have ended under what `title` says."""
        began = traffic.ended
        goal = began + calls
        step = max(1, calls // 50)
        self._aim += calls
        for aim in range(began + step, goal + step, step):
            await traffic.until_ended(min(aim, goal))
            if self._bar is not None and self._task is not None:
                done = self._aim - (goal - min(aim, goal))
                self._bar.update(self._task, completed=done, description=title)
        line = f"  {title}: {calls:,} calls, {len(traffic.failures)} failed so far"
        (self._bar.console if self._bar is not None else self._console).print(line)


class DemoReport:
    """Prints the demo as it goes."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, soft_wrap=True)
        self._step = 0

    def begin(self, title: str) -> None:
        self._step += 1
        self._console.print(f"\n[bold]{self._step}. {title}[/bold]")

    def trained(self, patients: Patients, trained: Sequence[Trained]) -> None:
        self._console.print(
            f"{len(patients.features)} patients, {len(patients.feature_names)} features; "
            f"{len(patients.training_rows)} to train on, {len(patients.kept_rows)} kept for "
            "evaluation and traffic. The score is the probability of malignancy."
        )
        table = Table("part", "model", "largest difference of ONNX (float32) from scikit-learn")
        for each in trained:
            difference = f"{each.largest_difference:.1e} (accepted: {CONVERSION_TOLERANCE:.0e})"
            table.add_row(each.candidate.part, each.candidate.describe, difference)
        self._console.print(table)

    def started(self, stack: Stack) -> None:
        self.begin("Start real processes")
        addresses = stack.addresses
        self._console.print(
            f"registry {addresses.registry}, router {addresses.router} (2 workers), scorer host; "
            f"files below {stack.directory.root}"
        )

    def refused(self, left_out: Sequence[str], findings: Sequence[Finding]) -> None:
        self._console.print(f"refused, as it lacks {', '.join(left_out)}:")
        table = Table("field", "read", "wanted")
        for each in findings:
            table.add_row(each.field, each.read.replace("[", r"\["), each.wanted)
        self._console.print(table)

    def registered(self, ref: str, reason: str) -> None:
        self._console.print(f"registered {ref}, {reason}")

    @contextmanager
    def progress(self, *, total: int) -> Iterator[StageProgress]:
        if not self._console.is_terminal:
            yield StageProgress(self._console, None, total)
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self._console) as bar:
            yield StageProgress(self._console, bar, total)

    def results(self, facts: Facts, comparison: ComparisonReport) -> None:
        self.begin("Results")
        self._console.print(_calls_table(facts.calls))
        self._console.print(_latency_line(facts.calls))
        levels = Counter(DegradationLevel(call.level) for call in facts.calls)
        counts = ", ".join(f"{_LEVELS[level]} {levels[level]:,}" for level in DegradationLevel)
        self._console.print(f"degradation: {counts}")
        ledger = facts.ledger
        self._console.print(
            f"mirror ledger: offered {ledger.offered:,} = sampled out {ledger.sampled_out:,} + "
            f"dropped {ledger.dropped:,} + sent {ledger.sent:,}; sent = ok {ledger.ok:,} + "
            f"error {ledger.error:,} + timeout {ledger.timeout:,}"
        )
        self._console.print(_comparison_table(comparison))

    def logs(self, directory: DataDirectory) -> None:
        self._console.print(f"\nlogs: {directory.logs} (score, shadow, outcomes; Parquet)")
        files = directory.logs / "score/*/*/*.parquet"
        query = _QUERY.replace("FILES", f"'{files}'")
        self._console.print(f'DuckDB: python -c "import duckdb; duckdb.sql(\\"{query}\\").show()"')
        self._console.print(
            f"compare: understudy shadow compare --model {MODEL} --log-dir {directory.logs}"
        )

    def verdict(self, checks: Sequence[Check]) -> None:
        self.begin("Checks")
        for check in checks:
            mark = "[green]holds[/green]" if check.holds else "[red]BROKEN[/red]"
            self._console.print(f"{mark}  {check.claim}")
            for fact in check.broken:
                self._console.print(f"        {fact}", markup=False)

    def kept(self, stack: Stack) -> None:
        self._console.print("\nThe stack stays until Ctrl-C.")
        show_addresses(self._console, stack)

    def broke(self, error: UnderstudyError, directory: DataDirectory) -> None:
        self._console.print("\n[red]BROKEN[/red]  ", end="")
        self._console.print(str(error), markup=False)
        self._console.print(f"see {directory.process_logs}")


def _calls_table(calls: Sequence[Call]) -> Table:
    by_revision: dict[tuple[int, str, int], list[float]] = defaultdict(list)
    for call in calls:
        by_revision[call.revision, call.arm, call.version].append(call.latency_s)
    table = Table("revision", "arm", "version", "requests", "p50 ms", "p99 ms")
    for (revision, arm, version), latencies_s in sorted(by_revision.items()):
        p50_ms, p99_ms = np.percentile(latencies_s, (50, 99)) * 1000
        table.add_row(
            str(revision),
            str(arm),
            f"{MODEL}@{version}",
            f"{len(latencies_s):,}",
            f"{p50_ms:.1f}",
            f"{p99_ms:.1f}",
        )
    table.add_section()
    table.add_row("all", "", "", f"{len(calls):,}", "", "")
    return table


def _latency_line(calls: Sequence[Call]) -> str:
    if not calls:
        return "latency: no call was answered"
    p50_ms, p99_ms = np.percentile([call.latency_s for call in calls], (50, 99)) * 1000
    return f"latency at the caller: p50 {p50_ms:.1f} ms, p99 {p99_ms:.1f} ms"


def _comparison_table(comparison: ComparisonReport) -> Table:
    pair = comparison.pair
    table = Table(
        f"shadow @{pair.shadow} against champion @{pair.champion}", "", title_justify="left"
    )
    table.add_row("requests scored by both", f"{comparison.rows.pairs:,}")
    scores = comparison.scores
    if scores is not None and scores.difference is not None:
        low, high = scores.difference.lower, scores.difference.upper
        table.add_row(
            "mean difference",
            f"{scores.difference.estimate:+.4f} (95 %: {low:+.4f} to {high:+.4f})",
        )
    if scores is not None and scores.flips is not None:
        flips = scores.flips
        table.add_row(
            f"decision flips at {flips.threshold:g}",
            f"{flips.to_positive + flips.to_negative:,} ({flips.rate:.2%}): "
            f"{flips.to_positive:,} to positive, {flips.to_negative:,} to negative",
        )
    auc = comparison.on_outcomes.auc if comparison.on_outcomes is not None else None
    if auc is not None:
        table.add_row(
            "AUC on outcomes",
            f"champion {auc.champion.estimate:.4f}, shadow {auc.shadow.estimate:.4f} "
            f"({comparison.outcomes.matched:,} outcomes)",
        )
    return table
