"""The stages of a batch of one version: fetch, assemble, rules, infer. One numpy call per batch.

Answering, mirroring and logging follow in `deliver`; who takes which batch is `pull_work`'s.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from domain.deployments import DegradationLevel, Rule
from domain.errors import DeadlinePassedError
from domain.snapshots import VersionSpec
from features.assembly import Assembled, AssemblyPlan
from router.decisions.reasons import marks_of
from router.decisions.rules import NO_RULE, first_matching_rule
from router.fetch_features import FeatureFetcher, Fetched
from router.ports import Clocks, Inferred, Scorer, ScorerHungError
from router.work import Answered, BatchTiming, Served, Work


@dataclass(frozen=True, slots=True)
class VersionPlan:
    """What is compiled once per version: how its tensors are made."""

    spec: VersionSpec
    plan: AssemblyPlan

    @property
    def feature_names(self) -> tuple[str, ...]:
        return self.plan.names


async def answer_batch(
    works: Sequence[Work],
    *,
    version: VersionPlan,
    served: Served,
    rules: Sequence[Rule],
    features: FeatureFetcher,
    scorer: Scorer,
    clocks: Clocks,
    scorer_timeout_s: float,
) -> tuple[Answered, tuple[NDArray[Any], ...]]:
    """Score `works` together; return the answers and the tensors that were sent.

    Raises:
        ScorerHungError: the scorer did not answer within `scorer_timeout_s`.
        UnavailableError, DeadlinePassedError, InvalidInputError: the scorer did not answer; no
            work is answered, and all may be tried elsewhere.
    """
    taken_s = clocks.monotonic_s()
    fetched = await features.fetch(version.plan, works)
    assembled = version.plan.assemble(
        fetched.records,
        fetched.request_features,
        now_s=clocks.utc_s(),
        last_known=fetched.from_memory,
    )
    fetched_s = clocks.monotonic_s()
    rows = len(assembled.tensors[0])
    rule_rows = (
        first_matching_rule(rules, _rule_columns(rules, version, assembled, fetched), rows)
        if rules
        else None
    )
    worth_s = max(work.answer_by_s for work in works) - fetched_s
    try:
        inferred = await _infer_undecided(
            works,
            version.spec,
            assembled,
            rules,
            rule_rows,
            scorer,
            timeout_s=min(worth_s, scorer_timeout_s),
        )
    except DeadlinePassedError as error:
        if worth_s < scorer_timeout_s:
            raise
        why = f"no answer within {scorer_timeout_s * 1000:.0f} ms"
        raise ScorerHungError(f"scorer {scorer.address}", why) from error
    inferred_s = clocks.monotonic_s()
    levels, marks = levels_of(assembled.statuses)
    answered = Answered(
        works=works,
        served=served,
        feature_names=version.feature_names,
        scores=inferred.scores,
        levels=levels,
        statuses=assembled.statuses,
        marks=marks,
        gap=fetched.gap,
        outputs=inferred.outputs,
        timing=BatchTiming(
            taken_s=taken_s,
            fetch_us=round((fetched_s - taken_s) * 1e6),
            infer_us=round((inferred_s - fetched_s) * 1e6),
            rows=rows,
        ),
        rule_rows=rule_rows,
        matrix=matrix_of(assembled),
        wrong_digests=assembled.wrong_digests,
    )
    return answered, assembled.tensors


def levels_of(
    statuses: NDArray[np.uint8] | None,
) -> tuple[NDArray[np.uint8] | None, NDArray[np.uint8] | None]:
    """Return degradation level and marks (see `marks_of`) per row; None when all rows are FULL.

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


def matrix_of(assembled: Assembled) -> NDArray[np.float32] | None:
    """Return the features as (n, width) float32 for the log; None for models with text inputs."""
    first = assembled.tensors[0]
    if len(assembled.tensors) == 1:
        return first.astype(np.float32, copy=False) if first.dtype.kind != "O" else None
    if any(tensor.dtype.kind == "O" for tensor in assembled.tensors):
        return None
    return np.concatenate(assembled.tensors, axis=1).astype(np.float32, copy=False)


async def _infer_undecided(
    works: Sequence[Work],
    spec: VersionSpec,
    assembled: Assembled,
    rules: Sequence[Rule],
    rule_rows: NDArray[np.int64] | None,
    scorer: Scorer,
    *,
    timeout_s: float,
) -> Inferred:
    outputs = _wanted_outputs(works)
    if rule_rows is None or not (rule_rows != NO_RULE).any():
        return await scorer.infer(spec, assembled.tensors, timeout_s=timeout_s, outputs=outputs)
    scores = np.empty(len(rule_rows), dtype=np.float64)
    for index, rule in enumerate(rules):
        scores[rule_rows == index] = rule.score
    undecided = rule_rows == NO_RULE
    if not undecided.any():
        return Inferred(scores, {})
    asked = tuple(np.ascontiguousarray(tensor[undecided]) for tensor in assembled.tensors)
    inferred = await scorer.infer(spec, asked, timeout_s=timeout_s, outputs=outputs)
    scores[undecided] = inferred.scores
    return Inferred(
        scores, {name: _spread(values, undecided) for name, values in inferred.outputs.items()}
    )


def _spread(values: NDArray[np.generic], scored: NDArray[np.bool_]) -> NDArray[np.generic]:
    """Return `values` at the rows that were scored, zeros at the others."""
    spread = np.zeros((len(scored), *values.shape[1:]), dtype=values.dtype)
    spread[scored] = values
    return spread


def _wanted_outputs(works: Sequence[Work]) -> tuple[str, ...]:
    if not any(work.outputs for work in works):
        return ()
    return tuple(sorted({name for work in works for name in work.outputs}))


def _rule_columns(
    rules: Sequence[Rule], version: VersionPlan, assembled: Assembled, fetched: Fetched
) -> Mapping[str, NDArray[Any]]:
    """Return the columns that the rules read: the model's features, or the request's own."""
    places = {name: index for index, name in enumerate(version.feature_names)}
    columns: dict[str, NDArray[Any]] = {}
    for rule in rules:
        place = places.get(rule.feature)
        if place is not None:
            columns[rule.feature] = _column(assembled, place)
        elif fetched.request_features is not None:
            columns[rule.feature] = np.array(
                [_number((row or {}).get(rule.feature)) for row in fetched.request_features]
            )
    return {name: column for name, column in columns.items() if column.dtype.kind in "fiub"}


def _column(assembled: Assembled, place: int) -> NDArray[Any]:
    if len(assembled.tensors) == 1:
        return assembled.tensors[0][:, place]
    return assembled.tensors[place][:, 0]


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")
