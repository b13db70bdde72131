"""The rows of a comparison, and their counts."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Self

import numpy as np
from numpy.typing import NDArray

from understudy.logs.finished_files import Scope
from understudy.statistics.units import Labels

_CLOCKS_DIFFER = timedelta(
    days=1
)  # of the machine that answered and the one that logged an outcome


@dataclass(frozen=True, slots=True)
class Question:
    """The rows to compare. None: the only pair of versions, or no bound."""

    model: str
    shadow: int | None = None
    champion: int | None = None
    since: datetime | None = None  # UTC, without a zone; rows answered then or later
    until: datetime | None = None  # the same; rows answered before
    matured_before: datetime | None = None  # outcomes count for rows answered before this
    challenger: int | None = None  # of arms

    def parameters(self, *others: str) -> dict[str, object]:
        """Return the parameters of queries over the rows in question, with those of its other fields."""
        names = ("model", "champion", "since", "until", *others)
        return {name: getattr(self, name) for name in names}

    @property
    def scope(self) -> Scope:
        """The part of the logs that has all these rows, and their outcomes, which come later."""
        since = None if self.since is None else self.since.date() - _CLOCKS_DIFFER
        return Scope(self.model, since=since)


@dataclass(frozen=True, slots=True)
class VersionPair:
    """A shadow and the version that answered the same requests, with their rows in the log."""

    shadow: int
    champion: int
    rows: int
    first_at: datetime
    last_at: datetime

    @property
    def versions(self) -> tuple[int, int]:
        return self.shadow, self.champion


@dataclass(frozen=True, slots=True)
class RowCensus:
    """The rows of one pair of versions in the log, and how many of them were compared."""

    ok: int
    error: int
    timeout: int
    duplicates: int  # repeats of a request (and candidate); the latest row is compared
    not_finite: (
        int  # rows with a score that is not finite, or above 1e60, which no statistic can use
    )
    pairs: int
    requests: int
    reused_ids: int  # further requests under the id of an earlier one, by their time
    units: int


@dataclass(frozen=True, slots=True)
class OutcomeCensus:
    """The outcomes in the log for rows (pairs, or those of an arm), and how many were used."""

    matched: int
    unmatched: int  # rows without one that counts
    duplicates: int  # further reports for a request; the one observed last is used
    conflicting: int  # requests with reports that disagree
    observed_before_answer: int  # by clocks that may differ; used nevertheless
    not_binary: int  # with one of these, all are numbers and none a class
    of_candidates: int  # rows whose request has candidates: the outcome's candidate is unknown
    of_several_units: int  # rows whose request id is used for other units at about the same time
    immature: int  # rows answered too late for their outcome to count; it is left out


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RowsOfUnits:
    """Columns of equal length n, ordered by unit, so that sums over units need no table."""

    unit: Labels  # of the unit key
    label: NDArray[np.float64]  # NaN if there is no outcome
    day: Labels  # of the answer, since 1970, UTC

    def where(self, chosen: NDArray[np.bool_]) -> Self:
        """Return the chosen rows; without a copy if all are."""
        if chosen.all():
            return self
        return type(self)(
            **{field.name: getattr(self, field.name)[chosen] for field in fields(self)}
        )

    def labelled(self) -> Self:
        """Return the rows with an outcome."""
        return self.where(~np.isnan(self.label))

    def class_labels(self) -> NDArray[np.bool_] | None:
        """Return which rows are positive; None unless there are outcomes, and all are 0 or 1."""
        labels: NDArray[np.bool_] = self.label == 1
        are_classes = labels.size > 0 and bool((labels | (self.label == 0)).all())
        return labels if are_classes else None

    def by_day(self) -> Iterator[tuple[str, Self]]:
        """Yield the rows of each day, with its date; none if there is but one: these are all rows."""
        days = np.unique(self.day)
        if days.size > 1:
            for day in days.tolist():
                yield str(np.datetime64(day, "D")), self.where(self.day == day)


@dataclass(frozen=True, slots=True, eq=False)
class PairedRows(RowsOfUnits):
    """The scores of both versions on the same rows."""

    champion: NDArray[np.float64]
    shadow: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class SentRows:
    """The rows that the shadow was to score, answered or not, in columns of equal length n."""

    is_lost: NDArray[np.bool_]  # dropped, an error or a timeout, and no later answer
    champion: NDArray[np.float64]
    unit: Labels
    label: NDArray[np.float64]  # NaN if there is no outcome


@dataclass(frozen=True, slots=True)
class WorstPair:
    """A row on which the two versions differ most."""

    request_id: str
    candidate_id: str | None
    at: datetime  # UTC, without a zone
    champion: float
    shadow: float
    label: float | None  # None: no outcome


@dataclass(frozen=True, slots=True)
class Latency:
    """The round trips of a version's batches to its scorers, over rows, microseconds.

    They have no interval: the rows of a batch share its time, and batches of a busy minute its load.
    """

    version: int
    rows: int
    p50_us: float | None  # None: no row
    p90_us: float | None
    p99_us: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """The contents of the logs on one pair of versions."""

    rows: PairedRows  # that it was to score; the shadow's score is NaN where it was lost
    is_lost: NDArray[np.bool_]
    census: RowCensus
    outcomes: OutcomeCensus
    latency: tuple[Latency, ...]
    worst: tuple[WorstPair, ...]
