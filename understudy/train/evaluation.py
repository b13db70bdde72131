"""Metrics of a served model on the evaluation data, by the kind of the model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from understudy.domain.errors import InvalidInputError
from understudy.domain.versions import ScoreOutput
from understudy.provenance.metrics import classifier_metrics
from understudy.provenance.metrics_of_kinds import (
    multiclass_metrics,
    ranking_metrics,
    regression_metrics,
)
from understudy.train.decisions.kinds import ModelKind
from understudy.train.rows import Columns
from understudy.train.served_model import ServedModel


@dataclass(frozen=True, slots=True)
class Truth:
    """The evaluation data's own answers, and the choices of the measurement."""

    labels: NDArray[Any]  # shape (n,)
    classes: tuple[Any, ...]  # labels in the order of a classifier's probabilities
    queries: NDArray[Any] | None  # of a ranking: the query of each row
    threshold: float | None  # of a binary model
    at: int  # of a ranking: number of ranks that count
    seed: int  # of the bootstrap
    dataset: str  # content of the evaluation data


def measure(
    model: ServedModel, score: ScoreOutput, columns: Columns, kind: ModelKind, truth: Truth
) -> list[dict[str, Any]]:
    """Return the metrics of a model as it is served: missing values have their defaults.

    Raises:
        InvalidInputError: labels, queries or the threshold do not fit the kind of the model, or a
            score is not finite.
    """
    served = model.with_defaults(columns)
    is_multiclass = kind is ModelKind.MULTICLASS
    answers = model.output(score.output, served) if is_multiclass else model.scores(score, served)
    return measure_answers(answers, kind, truth)


def measure_answers(
    answers: NDArray[np.float64], kind: ModelKind, truth: Truth
) -> list[dict[str, Any]]:
    """Return the metrics of answers to the evaluation rows.

    Args:
        answers: shape (n,); of a multi-class model its probabilities, shape (n, classes).
        kind: of the model.
        truth: the evaluation data's own answers.

    Raises:
        InvalidInputError: as `measure`.
    """
    common: dict[str, Any] = {"dataset": truth.dataset, "seed": truth.seed}
    try:
        match kind:
            case ModelKind.BINARY:
                threshold = _threshold(truth)
                return classifier_metrics(
                    _binary_labels(truth), answers, threshold=threshold, **common
                )
            case ModelKind.MULTICLASS:
                places = _places(truth.labels, truth.classes)
                return multiclass_metrics(places, answers, **common)
            case ModelKind.REGRESSION:
                return regression_metrics(truth.labels, answers, **common)
            case ModelKind.RANKING:
                queries = _queries(truth)
                return ranking_metrics(truth.labels, answers, queries, at=truth.at, **common)
    except ValueError as error:  # of the metrics: shapes, labels, values that are not finite
        raise InvalidInputError.of("evaluation", read=error, accepted=f"a {kind} model") from error


def given_answers(values: Any, kind: ModelKind, truth: Truth) -> NDArray[np.float64]:
    """Return a champion's answers that were computed elsewhere, as numbers.

    Raises:
        InvalidInputError: they are not finite numbers, or not one answer for each evaluation row.
    """
    wanted: tuple[int, ...] = truth.labels.shape
    if kind is ModelKind.MULTICLASS:
        wanted = (*wanted, len(truth.classes))
    accepted = f"finite numbers of shape {wanted}: the champion's answers to the evaluation rows"
    try:
        answers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInputError.of("champion_scores", read=error, accepted=accepted) from error
    if answers.shape != wanted:
        read = f"shape {answers.shape}"
        raise InvalidInputError.of("champion_scores", read=read, accepted=accepted)
    if not np.isfinite(answers).all():
        read = f"{np.count_nonzero(~np.isfinite(answers))} values that are not finite"
        raise InvalidInputError.of("champion_scores", read=read, accepted=accepted)
    return answers


def _binary_labels(truth: Truth) -> NDArray[Any]:
    """Return 0 and 1; the second class of the model is 1."""
    return _places(truth.labels, truth.classes) if truth.classes else truth.labels


def _places(labels: NDArray[Any], classes: Sequence[Any]) -> NDArray[np.int64]:
    places = {label: place for place, label in enumerate(classes)}
    values = labels.tolist()
    if strange := sorted({str(each) for each in values if each not in places}):
        accepted = f"the classes of the model: {list(classes)}"
        raise InvalidInputError.of("evaluation labels", read=strange, accepted=accepted)
    return np.array([places[each] for each in values], dtype=np.int64)


def _threshold(truth: Truth) -> float:
    if truth.threshold is None:
        raise InvalidInputError.of(
            "threshold", read="None for a binary model", accepted="the threshold of the decision"
        )
    return truth.threshold


def _queries(truth: Truth) -> NDArray[Any]:
    if truth.queries is None:
        raise InvalidInputError.of(
            "queries", read="None for a ranking", accepted="the query of each evaluation row"
        )
    queries = np.asarray(truth.queries)
    accepted = "the query of each evaluation row, all of one type"
    try:
        missing = pa.array(queries, from_pandas=True).null_count
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise InvalidInputError.of("queries", read=error, accepted=accepted) from error
    if missing:
        raise InvalidInputError.of("queries", read=f"{missing} missing", accepted=accepted)
    return queries
