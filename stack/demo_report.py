"""The output of the demo: lines and tables, with a progress bar on a terminal; or one JSON document."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from stack.data_directory import DataDirectory
from stack.decisions.demo_checks import Call, Check, Facts
from stack.processes import Stack
from stack.rollout import Finding
from stack.traffic import Traffic
from stack.training import CONVERSION_TOLERANCE, MODEL, Candidate, Patients
from stack.up import show_addresses
from understudy.comparison.compare import ComparisonReport
from understudy.comparison.render.number_texts import number_text
from understudy.comparison.render.page import page_of
from understudy.comparison.sections.decisions import acting_of
from understudy.domain.deployments import DegradationLevel
from understudy.runtime.terminal.json_output import print_json
from understudy.runtime.terminal.output_option import Format
from understudy.runtime.terminal.screen import Screen

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
    """Counts ended calls; shows one bar over all stages, or a line at the end of each."""

    def __init__(self, screen: Screen, bar: Progress | None, total: int) -> None:
        self._screen = screen
        self._bar = bar
        self._task = None if bar is None else bar.add_task("", total=total)
        self._aim = 0

    async def stage(self, title: str, traffic: Traffic, calls: int) -> None:
        """Return once `calls` more calls have ended in the stage named `title`."""
        began = traffic.ended
        goal = began + calls
        step = max(1, calls // 50)
        self._aim += calls
        for aim in range(began + step, goal + step, step):
            await traffic.until_ended(min(aim, goal))
            if self._bar is not None and self._task is not None:
                done = self._aim - (goal - min(aim, goal))
                self._bar.update(self._task, completed=done, description=title)
        self._screen.say(f"  {title}: {calls:,} calls, {len(traffic.failures)} failed so far")


class DemoReport:
    """Prints the demo's progress; for programs, one document at its end."""

    def __init__(self, output: Format = Format.TABLE) -> None:
        self._output = output
        self._screen = Screen(quiet=output is Format.JSON)
        self._step = 0

    def begin(self, title: str) -> None:
        self._step += 1
        self._screen.say("")
        self._screen.say((f"{self._step}. {title}", "bold"))

    def prepared(self, directory: DataDirectory) -> None:
        self._screen.say(f"Files go below {directory.root}; deleting it deletes them.")

    def read(self, patients: Patients) -> None:
        self._screen.say(
            f"{len(patients.features)} patients, {len(patients.feature_names)} features; "
            f"{len(patients.training_rows)} to train on, {len(patients.kept_rows)} kept for "
            "evaluation and traffic. The score is the probability of malignancy."
        )

    def trained(self, candidate: Candidate, largest_difference: float) -> None:
        self._screen.say(
            f"{candidate.part}: {candidate.describe}; ONNX (float32) differs from scikit-learn by "
            f"{largest_difference:.1e} at most (accepted: {CONVERSION_TOLERANCE:.0e})"
        )

    def started(self, stack: Stack) -> None:
        self.begin("Start real processes")
        addresses = stack.addresses
        self._screen.say(
            f"registry {addresses.registry}, router {addresses.router} (2 workers), scorer host; "
            f"files below {stack.directory.root}"
        )

    def refused(self, left_out: Sequence[str], findings: Sequence[Finding]) -> None:
        self._screen.say(f"refused, because it lacks {', '.join(left_out)}:")
        rows = [(each.field, each.read, each.wanted) for each in findings]
        self._screen.table(("field", "read", "wanted"), rows)

    def registered(self, ref: str) -> None:
        self._screen.say(f"registered {ref}")

    @contextmanager
    def progress(self, *, total: int) -> Iterator[StageProgress]:
        console = self._screen.console
        if console.quiet or not console.is_terminal:
            yield StageProgress(self._screen, None, total)
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=console) as bar:
            yield StageProgress(self._screen, bar, total)

    def results(
        self, facts: Facts, comparison: ComparisonReport, *, directory: DataDirectory
    ) -> None:
        self.begin("Results")
        columns = ("revision", "arm", "version", "requests", "p50 ms", "p99 ms")
        self._screen.table(columns, _call_rows(facts.calls))
        self._screen.say(_latency_line(facts.calls))
        levels = Counter(DegradationLevel(call.level) for call in facts.calls)
        counts = ", ".join(f"{_LEVELS[level]} {levels[level]:,}" for level in DegradationLevel)
        self._screen.say(f"degradation: {counts}")
        ledger = facts.ledger
        self._screen.say(
            f"mirror ledger: offered {ledger.offered:,} = sampled out {ledger.sampled_out:,} + "
            f"dropped {ledger.dropped:,} + sent {ledger.sent:,}; sent = ok {ledger.ok:,} + "
            f"error {ledger.error:,} + timeout {ledger.timeout:,}"
        )
        pair = comparison.pair
        title = f"shadow @{pair.shadow} against champion @{pair.champion}"
        self._screen.facts(_comparison_facts(comparison), title=title)
        page = directory.root / "comparison.html"
        page.write_text(page_of(comparison), encoding="utf-8")
        self._screen.say(f"with figures: {page}")
        self._screen.say(
            f"again: understudy compare --model {MODEL} --shadow {pair.shadow} "
            f"--champion {pair.champion} --log-dir {directory.logs}"
        )

    def logs(self, directory: DataDirectory) -> None:
        self._screen.say("")
        self._screen.say(f"logs: {directory.logs} (score, shadow, outcomes; Parquet)")
        files = directory.logs / "score/*/*/*.parquet"
        query = _QUERY.replace("FILES", f"'{files}'")
        self._screen.say(f'DuckDB: python -c "import duckdb; duckdb.sql(\\"{query}\\").show()"')

    def verdict(self, directory: DataDirectory, facts: Facts, checks: Sequence[Check]) -> None:
        self.begin("Checks")
        for check in checks:
            mark = ("holds", "green") if check.holds else ("BROKEN", "red")
            self._screen.say(mark, f"  {check.claim}")
            for fact in check.broken:
                self._screen.say(f"        {fact}")
        if self._output is Format.JSON:
            document = {
                "files": directory.root,
                "calls": len(facts.calls),
                "failures": len(facts.failures),
                "ledger": facts.ledger,
                "checks": [
                    {"claim": each.claim, "holds": each.holds, "broken": each.broken}
                    for each in checks
                ],
            }
            print_json(document)

    def kept(self, stack: Stack) -> None:
        self._screen.say("")
        self._screen.say("The stack keeps running until Ctrl-C.")
        show_addresses(self._screen, stack)


def _call_rows(calls: Sequence[Call]) -> list[tuple[str, ...]]:
    by_revision: dict[tuple[int, str, int], list[float]] = defaultdict(list)
    for call in calls:
        by_revision[call.revision, call.arm, call.version].append(call.latency_s)
    rows: list[tuple[str, ...]] = []
    for (revision, arm, version), latencies_s in sorted(by_revision.items()):
        p50_ms, p99_ms = np.percentile(latencies_s, (50, 99)) * 1000
        served_by = (str(revision), str(arm), f"{MODEL}@{version}")
        rows.append((*served_by, f"{len(latencies_s):,}", f"{p50_ms:.1f}", f"{p99_ms:.1f}"))
    return [*rows, ("all", "", "", f"{len(calls):,}", "", "")]


def _latency_line(calls: Sequence[Call]) -> str:
    if not calls:
        return "latency: no call was answered"
    p50_ms, p99_ms = np.percentile([call.latency_s for call in calls], (50, 99)) * 1000
    return f"latency at the caller: p50 {p50_ms:.1f} ms, p99 {p99_ms:.1f} ms"


def _comparison_facts(comparison: ComparisonReport) -> list[tuple[str, object]]:
    facts: list[tuple[str, object]] = [
        ("requests scored by both", f"{comparison.rows.pairs:,}"),
    ]
    if comparison.scores is not None:
        facts.append(("mean difference", number_text(comparison.scores.mean.difference, "+")))
    if (acting := acting_of(comparison.decisions)) is not None:
        flips = acting.flips
        counts = (
            f"{flips.to_positive + flips.to_negative:,}: {flips.to_positive:,} to positive, "
            f"{flips.to_negative:,} to negative; share {number_text(flips.rate)}"
        )
        facts.append((f"decision flips at {flips.threshold:g}", counts))
    classes = comparison.quality.classes if comparison.quality is not None else None
    if classes is not None and classes.auc is not None:
        difference = number_text(classes.auc.difference, "+")
        facts.append((f"AUC on {classes.rows:,} outcomes, difference", difference))
    verdict = comparison.verdict
    if verdict is not None:
        facts.append(("verdict", f"{verdict.outcome}: {verdict.why}"))
    return facts
