"""Proof that a converted model answers as its original: both are asked, on rows of every kind."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from understudy.domain.errors import InvalidInputError
from understudy.domain.versions import ScoreOutput
from understudy.train.decisions.agreement import Agreement, Compared, Floats, judge
from understudy.train.decisions.probes import Probe, ProbeKind, probes_of
from understudy.train.rows import Rows
from understudy.train.served_model import ServedModel

Predict = Callable[[Any], Any]  # rows as the author has them, to scores of shape (n,) or (n, 1)

_MOST_GIVEN_ROWS = 10_000
_PROBED_ROWS = 8  # per column and kind


def compare(
    predict: Predict, model: ServedModel, score: ScoreOutput, rows: Rows, *, tolerance: float
) -> Agreement:
    """Compare an original with its conversion.

    Args:
        predict: the original's; called with rows in the form of `rows.given`.
        model: the conversion.
        score: the output and column that `predict` returns.
        rows: of the author. Up to 10,000 are compared as given, and changed copies of a few with
            missing values, unseen texts and large numbers, column by column.
        tolerance: largest difference, absolute up to an answer of 1, above it relative.

    Raises:
        InvalidInputError: `predict` fails on the author's rows, or returns no score per row.
    """
    places = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), _MOST_GIVEN_ROWS)))
    given = Probe(ProbeKind.GIVEN, -1, rows.taken(places.astype(np.intp)).columns)
    own = _asked(predict, rows, given)
    if isinstance(own, str):
        raise InvalidInputError.of("predict", read=own, accepted="a score for each of the rows")
    changed = [*probes_of(given.columns, rows.features, rows=_PROBED_ROWS)]
    originals = [own, *_originals(predict, rows, changed)]
    probes = [given, *changed]
    pairs = zip(probes, originals, _converted(model, score, probes), strict=True)
    compared = [Compared(*each) for each in pairs]
    return judge(compared, rows.features, tolerance=tolerance)


def _originals(predict: Predict, rows: Rows, probes: Sequence[Probe]) -> list[Floats | str]:
    """Return the original's answers; if it refuses them together, each probe is asked alone."""
    if not probes:
        return []
    together = _asked(predict, rows, _joined(probes))
    if isinstance(together, str):
        return [_asked(predict, rows, probe) for probe in probes]
    return [*_split(together, probes)]


def _asked(predict: Predict, rows: Rows, probe: Probe) -> Floats | str:
    """Return the original's scores, or the reason why it has none."""
    x = rows.with_columns(probe.columns).as_given()
    try:
        answers = np.asarray(predict(x), dtype=np.float64)
    except Exception as error:  # noqa: BLE001 - the author's code: its reason is the answer
        return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    if answers.shape not in {(len(probe),), (len(probe), 1)}:
        return f"an array of shape {answers.shape} for {len(probe)} rows"
    return answers.reshape(-1)


def _converted(model: ServedModel, score: ScoreOutput, probes: Sequence[Probe]) -> list[Floats]:
    try:
        return [*_split(model.scores(score, _joined(probes).columns), probes)]
    except InvalidInputError:
        return [_scores_or_nan(model, score, probe) for probe in probes]


def _scores_or_nan(model: ServedModel, score: ScoreOutput, probe: Probe) -> Floats:
    """Return the scores; NaN for all if the model cannot compute the rows."""
    try:
        return model.scores(score, probe.columns)
    except InvalidInputError:
        return np.full(len(probe), np.nan)


def _joined(probes: Sequence[Probe]) -> Probe:
    columns = zip(*(probe.columns for probe in probes), strict=True)
    return Probe(ProbeKind.GIVEN, -1, tuple(np.concatenate(each) for each in columns))


def _split(scores: Floats, probes: Sequence[Probe]) -> Iterator[Floats]:
    ends = np.cumsum([0, *(len(probe) for probe in probes)])
    for start, end in pairwise(ends.tolist()):
        yield scores[start:end]
