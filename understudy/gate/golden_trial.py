"""Golden rows on their way through a router: as features, assembled, scored, and the score taken."""

from collections.abc import Iterator, Sequence
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from understudy.artifact.golden import as_strings
from understudy.artifact.load_checks import CheckedArtifact
from understudy.domain.errors import InvalidInputError
from understudy.domain.features import FeatureDtype, FeatureScalar
from understudy.domain.versions import DYNAMIC, GOLDEN_FILE, ScoreOutput, TensorSpec
from understudy.features.serving.assembly import AssemblyPlan
from understudy.gate.trial import Trial
from understudy.provenance.findings import Finding

_MOST_ROWS = 64
_MATRIX = 2  # dimensions of an output with several columns

Row = dict[str, FeatureScalar]


def try_golden_rows(trial: Trial, checked: CheckedArtifact) -> Iterator[Finding]:
    """Yield the reasons why a router would not score the golden rows as the model does.

    A value that is missing in a golden row is not sent, so that its default may replace it.
    """
    model = checked.model
    plan = trial.plan(model.inputs)
    if plan is None or not checked.golden_rows:
        return
    rows = min(checked.golden_rows, _MOST_ROWS)
    golden = [array[:rows] for array in checked.sample]
    sent = _features_of(plan, trial.dtypes(), golden)
    if faults := [*_value_findings(plan, sent)]:
        yield from faults
        return
    records = [[None] * rows for _ in plan.views]
    tensors = plan.assemble(records, sent, now_s=0.0, rows=rows).tensors
    yield from _changed_findings(plan, golden, tensors, sent)
    try:
        answers = model.run([_as_read(tensor) for tensor in tensors], model.every_output)
    except InvalidInputError as error:
        # With a default in place of a missing value it may be another row than the golden one.
        for fault in error.faults:
            yield Finding(f"{GOLDEN_FILE} inputs, assembled", fault.read, fault.accepted)
        return
    names = [spec.name for spec in model.outputs]
    by_name = dict(zip(names, answers, strict=True))
    if _may_have(trial.score, model.outputs):
        is_whole = np.array([len(row) == plan.width for row in sent])
        yield from _score_findings(trial.score, by_name[trial.score_output], is_whole)


def _may_have(score: ScoreOutput, outputs: Sequence[TensorSpec]) -> bool:
    """Return whether the signature allows this score; otherwise the gate has said so."""
    shape = next((spec.shape for spec in outputs if spec.name == score.output), ())
    width = shape[1] if len(shape) == _MATRIX else 1
    return len(shape) in {1, _MATRIX} and (width == DYNAMIC or score.column < width)


def _features_of(
    plan: AssemblyPlan, dtypes: Sequence[FeatureDtype], golden: Sequence[NDArray[Any]]
) -> list[Row]:
    """Return the golden rows as features of requests; missing values are left out."""
    rows: list[Row] = [{} for _ in range(len(golden[0]))]
    for place, name in enumerate(plan.names):
        column = plan.reader.column(golden, place)
        for row, value in zip(rows, column.tolist(), strict=True):
            if isinstance(value, str) or isfinite(value):
                row[name] = _as_sent(dtypes[place], value)
    return rows


def _as_sent(dtype: FeatureDtype, value: FeatureScalar) -> FeatureScalar:
    """Return a value of a tensor as one of the feature's dtype, if it is one."""
    if isinstance(value, str):
        return value
    if dtype is FeatureDtype.BOOL and value in {0, 1}:
        return bool(value)
    if dtype is FeatureDtype.INT64 and value == int(value):
        return int(value)
    return value


def _value_findings(plan: AssemblyPlan, rows: Sequence[Row]) -> Iterator[Finding]:
    """Yield a finding for each feature that could never have one of its golden values."""
    seen: set[str] = set()
    for number, row in enumerate(rows):
        for fault in plan.check_request_features(row):
            if fault.field not in seen:
                seen.add(fault.field)
                name = fault.field.removeprefix("features.")
                read = f"{fault.read} in row {number}"
                yield Finding(f"{GOLDEN_FILE} feature {name}", read, fault.accepted)


def _changed_findings(
    plan: AssemblyPlan,
    golden: Sequence[NDArray[Any]],
    tensors: Sequence[NDArray[Any]],
    rows: Sequence[Row],
) -> Iterator[Finding]:
    for place, name in enumerate(plan.names):
        is_sent = np.array([name in row for row in rows])
        meant = plan.reader.column(golden, place)
        found = _as_read(plan.reader.column(tensors, place))
        if (wrong := is_sent & (meant != found)).any():
            row = int(wrong.argmax())
            read = f"{meant[row]!r} in row {row}, assembled as {found[row]!r}"
            yield Finding(f"{GOLDEN_FILE} feature {name}", read, "a value that arrives unchanged")


def _score_findings(
    score: ScoreOutput, answers: NDArray[Any], is_whole: NDArray[np.bool_]
) -> Iterator[Finding]:
    """Yield a finding if a row without missing values has no score."""
    width = answers.shape[1] if answers.ndim == _MATRIX else 1
    if answers.ndim not in {1, _MATRIX} or score.column >= width:
        read = f"column {score.column} of {score.output} {list(answers.shape)}"
        yield Finding("score_output", read, "a column of an output of shape [n] or [n, k]")
        return
    column = answers if answers.ndim == 1 else answers[:, score.column]
    if column.dtype.kind not in "fiu":  # the gate says so, by the datatype
        return
    lost = is_whole & ~np.isfinite(column.astype(np.float64))
    if lost.any():
        read = f"{column[int(lost.argmax())]} for row {int(lost.argmax())} of {GOLDEN_FILE}"
        yield Finding("score_output", read, "a finite score for a row without missing values")


def _as_read(tensor: NDArray[Any]) -> NDArray[Any]:
    """Return a tensor as a scorer reads it: texts are str."""
    if tensor.dtype.kind != "O":
        return tensor
    return as_strings(np.array([each.decode() for each in tensor.flat], np.object_)).reshape(
        tensor.shape
    )
