"""Comparison of live champion and challenger, from the score log."""

from dataclasses import dataclass, replace
from pathlib import Path

from understudy.comparison.decisions.own_version import NoiseKind, is_own, statement_of
from understudy.comparison.decisions.verdict import Verdict
from understudy.comparison.evidence.arm_pairs import arm_pairs, require_arms
from understudy.comparison.evidence.arm_rows import ArmCensus, ArmPair, Step
from understudy.comparison.evidence.arms import COMPARED, read_arms
from understudy.comparison.evidence.engine import MEMORY_LIMIT, Engine
from understudy.comparison.evidence.rows import Question
from understudy.comparison.evidence.slice_columns import read_slice_columns
from understudy.comparison.evidence.unit_forms import unit_forms, warnings_of
from understudy.comparison.plan import MarginsOf, Plan, completed, nothing_written, verdict_by
from understudy.comparison.sections.arm_days import DayOfArms, days_of_arms
from understudy.comparison.sections.arm_slices import compare_arm_slices
from understudy.comparison.sections.arms import ArmComparison, beside, compare_arms
from understudy.comparison.sections.quality import mixture_of
from understudy.comparison.sections.slices import SliceComparison
from understudy.logs.reader import open_logs
from understudy.logs.schema import LogKind


@dataclass(frozen=True, slots=True)
class ArmReport:
    """Champion's arm against challenger's, by the arm to which each unit was assigned."""

    question: Question
    pair: ArmPair
    plan: Plan
    champion: ArmCensus
    challenger: ArmCensus
    steps: tuple[Step, ...]
    comparison: ArmComparison
    days: tuple[DayOfArms, ...]
    slices: SliceComparison | None  # None: no column was asked for, or there are no rows
    noise_kind: NoiseKind | None  # of an A/A test; None: the versions differ
    warnings: tuple[str, ...]
    verdict: Verdict | None  # None: no margins were given


def compare_live_arms(
    log_dir: Path,
    question: Question,
    plan: Plan | None = None,
    *,
    written: MarginsOf = nothing_written,
) -> ArmReport:
    """Compare the rows of units that were assigned to a challenger with the champion's.

    Args:
        log_dir: the directory of the routers' log writers.
        question: the rows to compare.
        plan: how to judge them. None: without threshold and verdict, unless margins are written.
        written: the margins on record for the version, which count if the plan has none.

    Raises:
        NotFoundError: the directory does not exist.
        InconclusiveError: no row in it was assigned to a challenger that fits.
        InvalidInputError: several pairs of arms fit, or a margin cannot act.
        UnavailableError: the logs, or the margins on record, cannot be read.
    """
    plan = plan or Plan()
    with open_logs(log_dir, question.scope, memory_limit=MEMORY_LIMIT) as reader:
        pair = require_arms(arm_pairs(reader, question), question)
        plan = completed(plan, pair.challenger, written)
        forms = unit_forms(
            log_dir, LogKind.SCORE, question.model, first_at=pair.first_at, last_at=pair.last_at
        )
        own = _own_arm(reader, question, pair, plan)
        evidence = read_arms(reader, question, pair)
        columns = read_slice_columns(
            reader,
            question.model,
            plan.slices,
            plan.slices_file,
            evidence.rows.score.size,
            of=COMPARED,
        )
    found, kind = compare_arms(evidence, plan), NoiseKind.ASSIGNMENT
    of_own = () if own is None else tuple(f"A/A arm: {each}" for each in own.refusals)
    return ArmReport(
        question=question,
        pair=pair,
        plan=plan,
        champion=evidence.champion,
        challenger=evidence.challenger,
        steps=evidence.steps,
        comparison=found if own is None else beside(found, own),
        days=days_of_arms(evidence.rows, plan),
        slices=compare_arm_slices(evidence.rows, columns, confidence=plan.confidence),
        noise_kind=kind if is_own(pair) else None,
        warnings=(
            *statement_of(pair, kind),
            *of_own,
            *mixture_of([evidence.champion.outcomes, evidence.challenger.outcomes]),
            *warnings_of(forms, reader.left_out),
        ),
        verdict=verdict_by(plan, found.judged, found.refusals),
    )


def _own_arm(engine: Engine, question: Question, pair: ArmPair, plan: Plan) -> ArmComparison | None:
    """Return the A/A arm of the same champion, whose rows `pair` never contains; None: there is none.

    Its rows are let go before those of the pair are read.
    """
    own = replace(question, challenger=pair.champion, champion=pair.champion)
    pairs = () if is_own(pair) else arm_pairs(engine, own)
    return compare_arms(read_arms(engine, own, pairs[0]), plan) if pairs else None
