"""`understudy demo`: the whole system on real data, with proof that it did what it claims."""

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import gettempdir, mkdtemp
from typing import Any

from stack.author import MARGINS, THRESHOLD, Author, write_lockfile
from stack.data_directory import DataDirectory, checked_directory
from stack.decisions.demo_checks import Facts, judge
from stack.demo_report import DemoReport
from stack.evidence import (
    count_outcome_rows,
    count_shadow_rows,
    ledger_of,
    read_score_log,
    rows_by_arm,
)
from stack.processes import ROUTER, Stack, loopback_addresses, open_stack, router_process
from stack.register_versions import register_versions
from stack.rollout import Operator
from stack.router_books import read_books
from stack.traffic import Traffic, open_traffic
from stack.training import (
    CANDIDATES,
    ENTITY,
    MODEL,
    Patients,
    load_patients,
    write_features,
    write_views,
)
from stack.up import run_until_interrupted, stay
from understudy.client.async_scoring_client import AsyncScoringClient
from understudy.comparison.compare import ComparisonReport, compare
from understudy.comparison.evidence.rows import Question
from understudy.comparison.plan import Plan
from understudy.control.client import RegistryClient
from understudy.domain.changes import DeployChampion, Promote, Rollback, SetCanary, SetShadow
from understudy.domain.errors import Fault, InvalidInputError, UnderstudyError
from understudy.domain.features import FeatureView
from understudy.features.loading.load_features import SourceFile, load_features
from understudy.features.stores import open_writer
from understudy.features.views import load_views
from understudy.runtime import exit_codes
from understudy.runtime.terminal.output_option import Format
from understudy.runtime.transport.transport import Transport

WORKERS = 2
CALLS_PER_STAGE = 1_000
CANARY_BP = 1_000
CHAMPION, CHALLENGER, SHADOW = 1, 2, 3  # versions, in the order of registration
_MIRROR_LIMIT_S = 30.0
_OUTCOMES_PER_CALL = 1_000
_POLL_S = 0.1
_TEMPORARY = "understudy-demo-"  # start of the folder's name


@dataclass(frozen=True, slots=True)
class Prepared:
    """The files of the demo, before any process runs."""

    directory: DataDirectory
    patients: Patients
    view: FeatureView

    def author(self, registry: str, access: Transport | None = None) -> Author:
        """Return the author who registers at `registry`; without access, as commands find it."""
        return Author(self.directory, self.patients, self.view, registry, access)


@dataclass(frozen=True, slots=True)
class DemoOptions:
    rate_per_s: int
    keep: bool
    features: str
    output: Format


def run_demo(directory: Path | None, options: DemoOptions) -> int:
    """Run the demo in `directory`, or in a new temporary one; return 0 if every check holds.

    Raises:
        InvalidInputError: the demo cannot run in `directory`.
        UnavailableError: a process did not do its part.
    """
    report = DemoReport(options.output)
    files = _new_directory(directory, options.features)
    report.prepared(files)
    prepared = prepare(files, report)

    async def main() -> int:
        async with open_stack(files, loopback_addresses(), workers=WORKERS) as stack:
            report.started(stack)
            facts, comparison = await perform(
                stack, prepared, report, rate_per_s=options.rate_per_s
            )
            code = _conclude(report, stack, facts, comparison)
            if not options.keep:
                return code
            await stack.supervisor.start(
                router_process(stack.directory, stack.addresses, stack.access, workers=WORKERS)
            )
            report.kept(stack)
            return await _stay_with(code, stack)

    try:
        return run_until_interrupted(main(), interrupted_code=exit_codes.INTERRUPTED)
    except UnderstudyError as error:
        error.add_note(f"the output of the processes is in {files.process_logs}")
        raise


async def _stay_with(code: int, stack: Stack) -> int:
    """Keep the stack running until Ctrl-C, which does not change the exit code."""
    try:
        return await stay(stack)
    except asyncio.CancelledError:
        return code


def prepare(directory: DataDirectory, report: DemoReport) -> Prepared:
    """Write views, features and the lockfile; load the features."""
    report.begin("Load the features of scikit-learn's breast-cancer data")
    patients = load_patients()
    directory.training.mkdir(parents=True)
    write_views(directory.training / "views.yaml", patients)
    measured_at = datetime.now(UTC) - timedelta(days=1)
    write_features(directory.training / "features.parquet", patients, measured_at=measured_at)
    write_lockfile(directory.training / "environment.lock")
    report.read(patients)
    (view,) = load_views(directory.training / "views.yaml")
    _load_features(directory, view)
    return Prepared(directory, patients, view)


async def perform(
    stack: Stack, prepared: Prepared, report: DemoReport, *, rate_per_s: float
) -> tuple[Facts, ComparisonReport]:
    """Register, deploy, send traffic, change the deployment; return the counts."""
    with RegistryClient(stack.addresses.registry, access=stack.access.operator) as registry:
        operator = Operator(registry, stack.directory.router)
        report.begin("Train, convert to ONNX, register: the gate requires complete provenance")
        author = prepared.author(stack.addresses.registry, stack.access.operator)
        gate_refused = await register_versions(
            operator,
            author,
            report,
            CANDIDATES,
            champion=DeployChampion(CHAMPION),
            shows_refusal=True,
        )
        traffic = await _roll_out(operator, stack, prepared, report, rate_per_s=rate_per_s)
        outcomes_sent = await _send_outcomes(stack, prepared, traffic)
        deployments = await operator.revisions()
        audit_intact = await operator.audit_is_intact()
        written = await operator.margins_of(SHADOW)
    await _until_mirrored(stack)
    books = await read_books(stack.directory.router)
    await stack.supervisor.stop(ROUTER)  # it drains and finishes its logs
    logs = stack.directory.logs
    facts = Facts(
        calls=traffic.calls,
        failures=traffic.failures,
        deployments=deployments,
        router_rows=rows_by_arm(books),
        ledger=ledger_of(books),
        logged=read_score_log(logs, MODEL),
        shadow_rows=count_shadow_rows(logs, MODEL),
        outcomes_sent=outcomes_sent,
        outcome_rows=count_outcome_rows(logs, MODEL),
        audit_intact=audit_intact,
        gate_refused=gate_refused,
    )
    question = Question(MODEL, shadow=SHADOW, champion=CHAMPION)
    return facts, compare(logs, question, Plan(threshold=THRESHOLD), written=lambda _: written)


async def _roll_out(
    operator: Operator,
    stack: Stack,
    prepared: Prepared,
    report: DemoReport,
    *,
    rate_per_s: float,
) -> Traffic:
    """Change the deployment under traffic; return the traffic."""
    report.begin("Change the deployment under traffic")
    shadowed = await operator.change(
        SetShadow(SHADOW, 10_000, margins=MARGINS), reason="rehearse the MLP"
    )
    await operator.until_settled(shadowed)
    units = [str(number) for number in prepared.patients.kept_rows]
    changes: list[tuple[str, Any]] = [
        (f"challenger @{CHALLENGER} takes {CANARY_BP / 100:g} %", SetCanary(CHALLENGER, CANARY_BP)),
        (f"@{CHALLENGER} is promoted", Promote(CHALLENGER)),
        ("rolled back", Rollback()),
    ]
    async with open_traffic(
        stack.addresses.router, model=MODEL, entity=ENTITY, units=units, rate_per_s=rate_per_s
    ) as traffic:
        with report.progress(total=CALLS_PER_STAGE * (len(changes) + 1)) as progress:
            await progress.stage(
                f"champion @{CHAMPION}, shadow @{SHADOW}", traffic, CALLS_PER_STAGE
            )
            for title, change in changes:
                traffic.is_settling = True
                await operator.until_settled(await operator.change(change, reason=title))
                traffic.is_settling = False
                await progress.stage(title, traffic, CALLS_PER_STAGE)
    return traffic


async def _send_outcomes(stack: Stack, prepared: Prepared, traffic: Traffic) -> int:
    """Report the diagnosis behind each answered call; return how many were accepted."""
    labels = {
        call.request_id: float(prepared.patients.is_malignant[int(call.unit)])
        for call in traffic.calls
    }
    ids = list(labels)
    accepted = 0
    async with AsyncScoringClient(stack.addresses.router) as client:
        for start in range(0, len(ids), _OUTCOMES_PER_CALL):
            some = {each: labels[each] for each in ids[start : start + _OUTCOMES_PER_CALL]}
            accepted += await client.record_outcomes(MODEL, some)
    return accepted


async def _until_mirrored(stack: Stack) -> None:
    """Return once no mirrored row is in flight, or after a limit: the ledger will show it."""
    give_up_s = time.monotonic() + _MIRROR_LIMIT_S
    while time.monotonic() < give_up_s:
        books = await read_books(stack.directory.router)
        if not any(mirror.in_flight for each in books for mirror in each.mirrors):
            return
        await asyncio.sleep(_POLL_S)


def _conclude(report: DemoReport, stack: Stack, facts: Facts, comparison: ComparisonReport) -> int:
    checks = judge(facts)
    report.results(facts, comparison, directory=stack.directory)
    report.logs(stack.directory)
    report.verdict(stack.directory, facts, checks)
    return exit_codes.OK if all(check.holds for check in checks) else exit_codes.FAILED


def _load_features(directory: DataDirectory, view: FeatureView) -> None:
    writer = open_writer(directory.features_url)
    rejects: list[object] = []
    try:
        load_features(
            SourceFile(directory.training / "features.parquet", ENTITY),
            view,
            writer,
            on_reject=rejects.append,
            on_progress=lambda _: None,
        )
    finally:
        writer.close_now()
    if rejects:
        raise InvalidInputError.of("features", read=rejects[0], accepted="no rejected row")


def _new_directory(asked: Path | None, features: str) -> DataDirectory:
    if asked is not None:
        directory = checked_directory(asked, features)
        if asked.exists() and any(asked.iterdir()):
            raise InvalidInputError([Fault("--dir", str(asked), "a new or empty folder")])
        asked.mkdir(parents=True, exist_ok=True)
        return directory
    checked_directory(Path(gettempdir()) / f"{_TEMPORARY}12345678", features)
    return DataDirectory(Path(mkdtemp(prefix=_TEMPORARY)), features)
