"""The columns of a plan that are read from packed records: values, statuses, defaults."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from understudy.domain.features import Feature, FeatureStatus, FeatureView
from understudy.features.decisions.column_moves import (
    Source,
    Target,
    may_overflow,
    plan_moves,
)
from understudy.features.decisions.feature_columns import FeatureColumn
from understudy.features.decisions.record_format import DecodedRecords, decode, record_format
from understudy.features.decisions.statuses import (
    has_stale_values,
    in_ms,
    statuses_of,
    unread_statuses,
    view_statuses,
)
from understudy.features.decisions.tensor_columns import (
    ARRAY_DTYPES,
    TensorColumns,
    values_when_absent,
)

Tensor = npt.NDArray[np.generic]
Statuses = npt.NDArray[np.uint8]
LastKnownRows = Sequence[npt.NDArray[np.bool_] | None]


@dataclass(frozen=True, slots=True, eq=False)
class Assembled:
    """A batch in the form that the model reads."""

    tensors: tuple[Tensor, ...]  # in the order of the model's inputs, C-contiguous
    statuses: Statuses | None  # FeatureStatus, shape (n, width); None: every value is PRESENT
    event_times_ms: npt.NDArray[np.int64]  # of the records read, shape (n, views); 0 without one
    wrong_digests: int = 0  # records written under another definition; treated as missing


class StoredColumns:
    """The stored part of a compiled plan. It makes the tensors, which other parts then complete."""

    def __init__(
        self,
        views: tuple[FeatureView, ...],
        columns: Sequence[FeatureColumn],
        tensors: Sequence[TensorColumns],
        targets: Sequence[Target],
    ) -> None:
        """Plan the moves.

        Args:
            views: in the order in which their records come.
            columns: of the whole feature set; those that are not stored get no value here.
            tensors: of the model.
            targets: of each column.
        """
        stored = [
            (column, target)
            for column, target in zip(columns, targets, strict=True)
            if column.is_stored
        ]
        features: list[Feature] = [column.feature for column in columns]
        self.defaults = [values_when_absent(tensor, features) for tensor in tensors]
        self._width = len(columns)
        self._places = [np.array(tensor.places, dtype=np.intp) for tensor in tensors]
        self._moves, self._text_moves = plan_moves(
            views,
            [Source(views.index(column.view), column.place_in_view) for column, _ in stored],
            [target for _, target in stored],
        )
        self._may_overflow = may_overflow(self._moves, [tensor.datatype for tensor in tensors])
        self._formats = [record_format(view) for view in views]
        self._rules = [view_statuses(view, columns) for view in views]
        self._shapes = [(len(tensor.places), ARRAY_DTYPES[tensor.datatype]) for tensor in tensors]
        # Statuses of a row before any source is read; None if everything is read from the store.
        self._unread = None if len(stored) == len(columns) else unread_statuses(columns)

    def read(
        self,
        records: Sequence[Sequence[bytes | None]],
        now_s: float | npt.NDArray[np.float64],
        last_known: LastKnownRows | None,
        rows: int,
    ) -> Assembled:
        """Return the batch as far as the records give it; see `AssemblyPlan.assemble`."""
        decoded = [decode(form, batch) for form, batch in zip(self._formats, records, strict=True)]
        tensors = self._values(decoded, rows)
        statuses = self._statuses(tensors, decoded, now_s, last_known)
        wrong_digests = sum([each.wrong_digests for each in decoded])
        return Assembled(tuple(tensors), statuses, _event_times(decoded, rows), wrong_digests)

    def _values(self, decoded: Sequence[DecodedRecords], rows: int) -> list[Tensor]:
        tensors: list[Tensor] = [np.empty((rows, width), dtype) for width, dtype in self._shapes]
        if self._may_overflow:
            # A float64 beyond float32 becomes infinite, as in training: not worth a warning.
            with np.errstate(over="ignore"):
                self._move(decoded, tensors)
        else:
            self._move(decoded, tensors)
        for text in self._text_moves:
            tensors[text.tensor][:, text.column] = decoded[text.view].texts(text.string)
        return tensors

    def _statuses(
        self,
        tensors: Sequence[Tensor],
        decoded: Sequence[DecodedRecords],
        now_s: float | npt.NDArray[np.float64],
        last_known: LastKnownRows | None,
    ) -> Statuses | None:
        """Return the statuses, filling defaults into `tensors`; None if all values are present."""
        if self._unread is None and last_known is None and self._is_clean(decoded, now_s):
            return None
        now_ms = in_ms(now_s)
        statuses = np.zeros((len(tensors[0]), self._width), dtype=np.uint8)
        if self._unread is not None:
            statuses[:] = self._unread
        remembered = last_known or [None] * len(decoded)
        for rules, each, memory in zip(self._rules, decoded, remembered, strict=True):
            statuses[:, rules.places] = statuses_of(rules, each, now_ms=now_ms, last_known=memory)
        absent = statuses >= FeatureStatus.DEFAULTED
        absent &= statuses != FeatureStatus.LAST_KNOWN
        if absent.any():
            for tensor, places, defaults in zip(tensors, self._places, self.defaults, strict=True):
                np.copyto(tensor, defaults, where=absent[:, places])
        return statuses

    def _move(self, decoded: Sequence[DecodedRecords], tensors: Sequence[Tensor]) -> None:
        for move in self._moves:
            block = decoded[move.view].parts[move.block]
            tensors[move.tensor][:, move.target] = block[:, move.source]

    def _is_clean(
        self, decoded: Sequence[DecodedRecords], now_s: float | npt.NDArray[np.float64]
    ) -> bool:
        now_ms = in_ms(now_s)
        for rules, each in zip(self._rules, decoded, strict=True):
            if not each.is_full or has_stale_values(rules, each, now_ms=now_ms):
                return False
        return True


def _event_times(decoded: Sequence[DecodedRecords], rows: int) -> npt.NDArray[np.int64]:
    """Return the event times of each view; a copy, which does not keep the records in memory."""
    times_ms = np.empty((rows, len(decoded)), dtype=np.int64)
    for place, each in enumerate(decoded):
        times_ms[:, place] = each.event_times_ms
    return times_ms
