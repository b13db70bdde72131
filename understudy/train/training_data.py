"""The data of a training: rows and labels, and the facts about them for the record."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from understudy.domain.errors import Fault, InvalidInputError
from understudy.domain.features import Feature
from understudy.provenance.capture import dataset_facts
from understudy.train.rows import Rows, read_rows

Window = tuple[datetime, datetime]

_TIMES = "mM"  # numpy's kinds of durations and dates, which it would count in days or less


@dataclass(frozen=True, slots=True)
class Described:
    """The author's facts about the data; times with their zone."""

    uri: str
    label: str  # its meaning
    labels_matured_at: datetime
    window: Window  # bounds of the event times of the training data
    evaluation_window: Window | None  # None: the same
    split: str
    seed: int | None
    description: str | None  # of the split; None: made from the numbers


@dataclass(frozen=True, slots=True)
class TrainingData:
    """The parts of the record on data, and the rows to measure on."""

    rows: Rows  # of the evaluation
    labels: NDArray[Any]
    training: Mapping[str, Any]
    evaluation: Mapping[str, Any]
    split: Mapping[str, Any]


def read_training_data(
    training: Sequence[Any], evaluation: Sequence[Any], features: Sequence[Feature], by: Described
) -> TrainingData:
    """Return the data with the facts that the record needs; contents are hashed here.

    Args:
        training: rows and labels that the model was fitted on.
        evaluation: rows and labels to measure on.
        features: of the model.
        by: the facts that only the author knows.

    Raises:
        InvalidInputError: rows do not fit the features or the labels, or a time has no zone.
    """
    windows = {"window": by.window, "evaluation_window": by.evaluation_window or by.window}
    _check_times({**windows, "labels_matured_at": (by.labels_matured_at,)})
    read_rows(training[0], features, "training")
    rows = read_rows(evaluation[0], features, "evaluation")
    labels = _labels(evaluation[1])
    counts = {
        "training": (len(training[0]), len(training[1])),
        "evaluation": (len(rows), len(labels)),
    }
    for name, (found, labelled) in counts.items():
        if found != labelled:
            read = f"{found} rows and {labelled} labels"
            raise InvalidInputError.of(name, read=read, accepted="a label for each row")
    facts = {
        name: dataset_facts(
            f"{name} rows",
            uri=by.uri,
            arrays=arrays,
            rows=counts[name][0],
            window=window,
            label=by.label,
            labels_matured_at=by.labels_matured_at,
        )
        for name, arrays, window in (
            ("training", training, windows["window"]),
            ("evaluation", evaluation, windows["evaluation_window"]),
        )
    }
    kept = f"{counts['training'][0]} rows for training, {len(rows)} for evaluation"
    split = {
        "method": by.split,
        "seed": by.seed,
        "description": by.description or f"{by.split} split: {kept}",
    }
    return TrainingData(rows, labels, facts["training"], facts["evaluation"], split)


def _labels(given: Any) -> NDArray[Any]:
    labels = np.asarray(given)
    if labels.ndim != 1 or labels.dtype.kind in _TIMES:
        read = f"{labels.dtype} of shape {labels.shape}"
        accepted = "a class or a number for each row, of shape (n,)"
        raise InvalidInputError.of("evaluation labels", read=read, accepted=accepted)
    return labels


def _check_times(times: Mapping[str, Sequence[datetime]]) -> None:
    """Refuse times without a zone: the record is in UTC, and a guess may be hours off."""
    faults = [
        Fault.of(name, read=time, accepted="a datetime with its zone, e.g. tzinfo=UTC")
        for name, each in times.items()
        for time in each
        if time.utcoffset() is None
    ]
    if faults:
        raise InvalidInputError(faults)
