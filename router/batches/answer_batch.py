"""The stages of a batch of one version: fetch, assemble, rules, infer. One numpy call per batch.

Answering and logging follow in `deliver`; `lanes` decide which scorer takes which batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router.batches.fetch_features import FeatureFetcher, Fetched
from router.batches.version_plan import Prepared, VersionPlan
from router.calls.answered import Answered, BatchTiming, Served
from router.calls.call import Call, span_id_of_call
from router.calls.rows import whole_calls
from router.decisions.reasons import marks_of
from router.decisions.rules import NO_RULE, first_matching_rule
from router.ports import Clocks, Inferred, Scorer, ScorerHungError
from understudy.domain.deployments import Arm, DegradationLevel, Rule
from understudy.domain.errors import DeadlinePassedError
from understudy.domain.logged_features import LoggedFeatures
from understudy.domain.snapshots import VersionSpec
from understudy.domain.trace_context import TraceContext
from understudy.features.serving.stored_columns import Assembled


@dataclass(frozen=True, slots=True)
class VersionStages:
    """The stages for batches of one version under one revision; compiled with the revision."""

    version: VersionPlan
    served: Served
    rules: Sequence[Rule]
    features: FeatureFetcher
    clocks: Clocks
    scorer_timeout_s: float
    has_spans: bool  # of calls, in this process

    def in_arm(self, arm: Arm) -> VersionStages:
        """Return the stages with answers in the name of an arm."""
        return replace(self, served=replace(self.served, arm=arm))

    async def prepare(self, calls: Sequence[Call]) -> Prepared:
        """Fetch and assemble the features of `calls`, and apply the rules."""
        taken_s = self.clocks.monotonic_s()
        plan = self.version.plan
        fetched = await self.features.fetch(
            plan, calls, answer_by_s=max([call.answer_by_s for call in calls])
        )
        read_at_s = self.clocks.utc_s()
        assembled = plan.assemble(
            fetched.records,
            fetched.request_features,
            now_s=read_at_s,
            last_known=fetched.from_memory,
        )
        return Prepared(
            calls=calls,
            tensors=assembled.tensors,
            statuses=assembled.statuses,
            rule_rows=self._ask_rules(calls, assembled, fetched) if self.rules else None,
            gap=fetched.gap,
            features=LoggedFeatures(
                plan.reader.listed,
                assembled.tensors,
                assembled.event_times_ms,
                read_at_ms=round(read_at_s * 1000),
            ),
            wrong_digests=assembled.wrong_digests,
            taken_s=taken_s,
            ready_s=self.clocks.monotonic_s(),
        )

    def answer_by_rules(self, prepared: Prepared) -> Answered:
        """Return the answers of a batch that rules decided entirely."""
        if prepared.rule_rows is None:
            raise AssertionError("no rule decided")
        scores = np.array([rule.score for rule in self.rules])[prepared.rule_rows]
        return self._answered(prepared, Inferred(scores, {}), infer_us=0)

    async def infer(self, prepared: Prepared, scorer: Scorer) -> Answered:
        """Return the scorer's answers for a prepared batch.

        Raises:
            ScorerHungError: the scorer did not answer within `scorer_timeout_s`.
            UnavailableError, DeadlinePassedError, InvalidInputError: the scorer did not answer; no
                call is answered, and all may be tried on another scorer.
        """
        worth_s = max([call.answer_by_s for call in prepared.calls]) - prepared.ready_s
        try:
            inferred = await self._infer_undecided(
                prepared, scorer, timeout_s=min(worth_s, self.scorer_timeout_s)
            )
        except DeadlinePassedError as error:
            if worth_s < self.scorer_timeout_s:
                raise
            why = f"no answer within {self.scorer_timeout_s * 1000:.0f} ms"
            raise ScorerHungError(f"scorer {scorer.address}", why) from error
        infer_us = round((self.clocks.monotonic_s() - prepared.ready_s) * 1e6)
        return self._answered(prepared, inferred, infer_us=infer_us)

    def _ask_rules(
        self, calls: Sequence[Call], assembled: Assembled, fetched: Fetched
    ) -> NDArray[np.int64] | None:
        columns = _rule_columns(self.rules, self.version, assembled, fetched)
        rule_rows = first_matching_rule(self.rules, columns, len(assembled.tensors[0]))
        for call in calls:
            call.progress.see_rules()
        return rule_rows if (rule_rows != NO_RULE).any() else None

    async def _infer_undecided(
        self, prepared: Prepared, scorer: Scorer, *, timeout_s: float
    ) -> Inferred:
        spec = self.version.spec
        outputs = _wanted_outputs(prepared.calls, spec)
        trace = _told_trace(prepared.calls, has_spans=self.has_spans)
        ask = partial(scorer.infer, spec, timeout_s=timeout_s, outputs=outputs, trace=trace)
        rule_rows = prepared.rule_rows
        if rule_rows is None or not (rule_rows != NO_RULE).any():
            return await ask(prepared.tensors)
        undecided = rule_rows == NO_RULE
        asked = tuple(np.ascontiguousarray(tensor[undecided]) for tensor in prepared.tensors)
        inferred = await ask(asked)
        scores = np.array([*(rule.score for rule in self.rules), np.nan])[rule_rows]
        scores[undecided] = inferred.scores  # NO_RULE is -1, the index of the NaN
        return Inferred(
            scores, {name: _spread(values, undecided) for name, values in inferred.outputs.items()}
        )

    def _answered(self, prepared: Prepared, inferred: Inferred, *, infer_us: int) -> Answered:
        levels, marks = levels_of(prepared.statuses)
        incomplete = None if prepared.statuses is None else self._incomplete_rows(prepared)
        scores = inferred.scores
        if incomplete is not None:
            scores = np.where(incomplete, np.nan, scores)
        return Answered(
            calls=prepared.calls,
            served=self.served,
            feature_names=self.version.plan.names,
            scores=scores,
            levels=levels,
            statuses=prepared.statuses,
            outputs=inferred.outputs,
            timing=BatchTiming(
                taken_s=prepared.taken_s,
                fetch_us=round((prepared.ready_s - prepared.taken_s) * 1e6),
                infer_us=infer_us,
                rows=len(inferred.scores),
            ),
            rule_rows=prepared.rule_rows,
            features=prepared.features,
            marks=marks,
            incomplete=incomplete,
            gap=prepared.gap,
            wrong_digests=prepared.wrong_digests,
        )

    def _incomplete_rows(self, prepared: Prepared) -> NDArray[np.bool_] | None:
        """Return the rows that the model cannot read and no rule decided; None if there is none."""
        incomplete = self.version.plan.incomplete_rows(prepared.statuses)
        if incomplete is None or prepared.rule_rows is None:
            return incomplete
        undecided = incomplete & (prepared.rule_rows == NO_RULE)
        return undecided if undecided.any() else None


def split_decided(prepared: Prepared) -> tuple[Prepared | None, Prepared | None]:
    """Return the calls that rules decided entirely, and the others; None if there are none.

    Candidates of one ScoreBatch stay together: if a rule decides only some, all of them go on.
    """
    if prepared.rule_rows is None:
        return None, prepared
    decided = whole_calls(prepared.calls, prepared.rule_rows != NO_RULE)
    if decided.all():
        return prepared, None
    if not decided.any():
        return None, prepared
    return prepared.restricted(decided), prepared.restricted(~decided)


def levels_of(
    statuses: NDArray[np.uint8] | None,
) -> tuple[NDArray[np.uint8] | None, NDArray[np.uint8] | None]:
    """Return degradation level and marks (see `marks_of`) per row; None if all rows are FULL.

    Args:
        statuses: shape (n, width) of FeatureStatus; None: all present.
    """
    if statuses is None:
        return None, None
    marks = marks_of(statuses)
    if not marks.any():
        return None, None
    levels = np.where(marks, DegradationLevel.FEATURES, DegradationLevel.FULL)
    return levels.astype(np.uint8), marks


def _spread(values: NDArray[np.generic], scored: NDArray[np.bool_]) -> NDArray[np.generic]:
    """Return `values` at the scored rows, and zeros at the others."""
    spread = np.zeros((len(scored), *values.shape[1:]), dtype=values.dtype)
    spread[scored] = values
    return spread


def _told_trace(calls: Sequence[Call], *, has_spans: bool) -> TraceContext | None:
    """Return the trace that the scorer is told: of the first sampled call, or else the first traced one.

    `has_spans`: this process makes spans, so that the parent is the call's own one.
    """
    first: TraceContext | None = None
    for call in calls:
        trace = call.trace
        if trace is None:
            continue
        if trace.is_sampled:
            return replace(trace, parent_id=span_id_of_call(call, trace)) if has_spans else trace
        first = first or trace
    return first


def _wanted_outputs(calls: Sequence[Call], spec: VersionSpec) -> tuple[str, ...]:
    """Return the requested outputs that this version has: callers cannot know the arm."""
    if not any(call.outputs for call in calls):
        return ()
    wanted = {name for call in calls for name in call.outputs}
    return tuple(sorted(wanted & {output.name for output in spec.outputs}))


def _rule_columns(
    rules: Sequence[Rule], version: VersionPlan, assembled: Assembled, fetched: Fetched
) -> Mapping[str, NDArray[Any]]:
    """Return the columns that the rules read: the model's features, or the request's own."""
    columns: dict[str, NDArray[Any]] = {}
    for rule in rules:
        place = version.plan.place_of(rule.feature)
        if place is not None:
            columns[rule.feature] = version.plan.reader.column(assembled.tensors, place)
        elif fetched.request_features is not None:
            columns[rule.feature] = np.array(
                [_number((row or {}).get(rule.feature)) for row in fetched.request_features]
            )
    return {name: column for name, column in columns.items() if column.dtype.kind in "fiub"}


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")
