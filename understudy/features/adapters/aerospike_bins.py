"""Conversion between packed records and records of one bin per feature, as other tools write them."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from understudy.domain.features import FLOAT32_BELOW, FeatureDtype, FeatureScalar, FeatureView
from understudy.domain.record_layouts import BinsLayout
from understudy.features.adapters.own_bins import (
    OWN_CREATED_BIN,
    OWN_EVENT_BIN,
    OWN_INGESTED_BIN,
)
from understudy.features.decisions.bin_times import bin_time_ms, bin_time_of
from understudy.features.decisions.record_format import pack_columns, record_format
from understudy.features.decisions.request_features import fault_of_value
from understudy.features.decisions.view_rules import bin_names

Bins = Mapping[str, Any]
_NAN = float("nan")
_FLOATS = {FeatureDtype.FLOAT32, FeatureDtype.FLOAT64}
_NUMBERS = frozenset((int, float))
# The server searches the whole record for each name: reading 200 of 200 bins of 64 records took
# 16 ms by name and 2 ms without names. Up to this many names, naming the bins is no slower.
_MOST_BINS_BY_NAME = 64


class NamesBins(Protocol):
    """A codec as the reading of records sees it."""

    @property
    def bins(self) -> Sequence[str]: ...


def bins_to_ask(codecs: Sequence["NamesBins | None"], *, packed: Sequence[str]) -> list[str] | None:
    """Return the bins to name in one request for records of several views, or None for all bins.

    A request has one list of bins for all of its records. A second request costs more than reading
    surplus bins, and so does a list per record, which is built in Python.

    Args:
        codecs: one per view; None for a view whose records are packed.
        packed: the bins of packed records.
    """
    names = dict.fromkeys(
        name for codec in codecs for name in (packed if codec is None else codec.bins)
    )
    return list(names) if len(names) <= _MOST_BINS_BY_NAME else None


class BinsCodec:
    """Converts the records of one view between bins and the packed format."""

    def __init__(self, view: FeatureView, layout: BinsLayout) -> None:
        self._form = record_format(view)
        self._features = view.features
        self._names = bin_names(view, layout)
        self._event_time_bin = layout.event_time_bin
        self._event_time_unit = layout.event_time_unit
        self._floats = [place for place, dtype in enumerate(self._form.dtypes) if dtype in _FLOATS]
        self._reads_own_times = layout.reads_own_times
        own = (OWN_EVENT_BIN, OWN_CREATED_BIN, OWN_INGESTED_BIN) if layout.reads_own_times else ()
        times = (layout.event_time_bin,) if layout.event_time_bin else ()
        self.bins = [*self._names, *times, *own]

    def packed(self, records: Sequence[Bins], *, now_ms: int) -> tuple[list[bytes], int]:
        """Return the packed records, and the number of unusable values.

        An unusable value has no value in the packed record, which is marked as lossy.

        Args:
            records: bins by name.
            now_ms: event time of records that carry none, UTC ms.
        """
        columns: list[Any] = [None] * len(self._names)
        present = np.zeros((len(records), len(self._names)), dtype=np.bool_)
        lost = self._fill_floats(records, columns, present)
        for place, name in enumerate(self._names):
            if columns[place] is None:
                values = [record.get(name) for record in records]
                lost += self._fill_one(place, values, columns, present)
        times_ms = [self._event_time_ms(record, now_ms) for record in records]
        lost += np.array([time_ms is None for time_ms in times_ms], dtype=np.bool_)
        # Unreadable event time: assume the oldest, so that every value with a max age is stale.
        known_ms = np.array([time_ms or 0 for time_ms in times_ms], dtype=np.int64)
        created_ms, ingested_ms = self._own_times_ms(records, known_ms)
        packed = pack_columns(
            self._form, columns, present, known_ms, created_ms, ingested_ms, lossy=lost > 0
        )
        return packed, int(lost.sum())

    def bins_of(self, values: Mapping[str, FeatureScalar | None], event_time_ms: int) -> Bins:
        """Return the bins to write; a bin of None removes the value from the record."""
        bins: dict[str, Any] = {
            name: values[feature.name]
            for feature, name in zip(self._features, self._names, strict=True)
        }
        if self._event_time_bin:
            bins[self._event_time_bin] = bin_time_of(event_time_ms, self._event_time_unit)
        return bins

    def _own_times_ms(
        self, records: Sequence[Bins], times_ms: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return created and ingestion times, UTC ms; 0 if unknown, or of an earlier write."""
        created_ms, ingested_ms = np.zeros_like(times_ms), np.zeros_like(times_ms)
        for place, record in enumerate(records) if self._reads_own_times else ():
            created, ingested = record.get(OWN_CREATED_BIN), record.get(OWN_INGESTED_BIN)
            is_ours = record.get(OWN_EVENT_BIN) == times_ms[place] or not self._event_time_bin
            if is_ours and isinstance(created, int) and isinstance(ingested, int):
                created_ms[place], ingested_ms[place] = created, ingested
        return created_ms, ingested_ms

    def _fill_floats(
        self, records: Sequence[Bins], columns: list[Any], present: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.int64]:
        """Fill all float columns in one conversion, after removing values that are not numbers.

        Returns:
            The number of unusable values of each record, shape (n,).
        """
        if not self._floats or not records:
            return np.zeros(len(records), dtype=np.int64)
        names = [self._names[place] for place in self._floats]
        values = [record.get(name, _NAN) for record in records for name in names]
        shape = len(records), len(names)
        strange = np.zeros(shape, dtype=np.bool_)
        if not _NUMBERS.issuperset(map(type, values)):  # numpy would accept a boolean as a number
            strange = np.array([type(value) not in _NUMBERS for value in values]).reshape(shape)
            values = [value if type(value) in _NUMBERS else _NAN for value in values]
        matrix = np.array(values, dtype=np.float64).reshape(shape)
        for column, place in enumerate(self._floats):
            columns[place] = matrix[:, column]
        usable = np.isfinite(matrix)
        if FeatureDtype.FLOAT32 in self._form.dtypes:
            narrow = [self._form.dtypes[place] is FeatureDtype.FLOAT32 for place in self._floats]
            usable &= ~np.array(narrow) | (np.abs(matrix) < FLOAT32_BELOW)
        present[:, self._floats] = usable
        lost: npt.NDArray[np.int64] = (strange | (~usable & ~np.isnan(matrix))).sum(axis=1)
        return lost

    def _fill_one(
        self,
        place: int,
        values: Sequence[Any],
        columns: list[Any],
        present: npt.NDArray[np.bool_],
    ) -> npt.NDArray[np.bool_]:
        """Fill a column of another type; return which records have an unusable value for it."""
        dtype = self._form.dtypes[place]
        usable = [_usable(dtype, value) for value in values]
        present[:, place] = [value is not None for value in usable]
        if dtype is FeatureDtype.STRING:
            columns[place] = [str(value).encode() if value is not None else b"" for value in usable]
        else:
            element = "i8" if dtype is FeatureDtype.INT64 else "f8"
            columns[place] = np.array([value or 0 for value in usable], dtype=element)
        return np.array(
            [
                value is None and given is not None and given == given  # noqa: PLR0124 - not NaN
                for value, given in zip(usable, values, strict=True)
            ],
            dtype=np.bool_,
        )

    def _event_time_ms(self, record: Bins, now_ms: int) -> int | None:
        """Return the event time of the record, UTC ms, or None if it cannot be read."""
        given = record.get(self._event_time_bin) if self._event_time_bin else None
        return now_ms if given is None else bin_time_ms(given, self._event_time_unit)


def _usable(dtype: FeatureDtype, value: Any) -> FeatureScalar | None:
    if not isinstance(value, int | float | str | bool):
        return None
    if dtype is FeatureDtype.BOOL and not isinstance(value, bool) and value in (0, 1):
        return bool(value)  # many tools write flags as 0 and 1
    if dtype is FeatureDtype.INT64 and isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if fault_of_value(dtype, value) is None else None
