"""Packed records of any view survive a round trip, singly and in batches."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.features.builders import floats
from understudy.domain.features import (
    Feature,
    FeatureDtype,
    FeatureRef,
    FeatureScalar,
    FeatureStatus,
    FeatureView,
)
from understudy.features.decisions.feature_columns import columns_of
from understudy.features.decisions.record_format import (
    decode,
    event_time_ms_of,
    is_of,
    pack_columns,
    pack_record,
    record_format,
    unpack_record,
)
from understudy.features.decisions.statuses import statuses_of, view_statuses

VALUES: dict[FeatureDtype, st.SearchStrategy[FeatureScalar]] = {
    FeatureDtype.FLOAT32: st.floats(width=32, allow_nan=False),
    FeatureDtype.FLOAT64: st.floats(allow_nan=False),
    FeatureDtype.INT64: st.integers(-(2**63), 2**63 - 1),
    FeatureDtype.BOOL: st.booleans(),
    FeatureDtype.STRING: st.text(max_size=20),
}
Values = dict[str, FeatureScalar | None]


@st.composite
def views_with_rows(draw: st.DrawFn) -> tuple[FeatureView, list[Values], list[int]]:
    dtypes = draw(st.lists(st.sampled_from(FeatureDtype), min_size=1, max_size=80))
    features = tuple(Feature(f"f{place}", dtype) for place, dtype in enumerate(dtypes))
    row = st.fixed_dictionaries({each.name: st.none() | VALUES[each.dtype] for each in features})
    rows = draw(st.lists(row, min_size=1, max_size=4))
    times = draw(st.lists(st.integers(-(2**40), 2**42), min_size=len(rows), max_size=len(rows)))
    return FeatureView("view", 1, "entity", features), rows, times


@given(views_with_rows())
def test_packed_values_are_unpacked_unchanged(
    case: tuple[FeatureView, list[Values], list[int]],
) -> None:
    view, rows, times = case
    form = record_format(view)

    records = [
        pack_record(form, row, event_time_ms=at) for row, at in zip(rows, times, strict=True)
    ]

    assert [unpack_record(form, record) for record in records] == rows
    assert [event_time_ms_of(form, record) for record in records] == times
    assert all(is_of(form, record) for record in records)
    assert all(not is_of(form, record[:-1]) for record in records)
    assert all(not is_of(form, record + b"\0") for record in records)
    decoded = decode(form, records)
    assert decoded.event_times_ms.tolist() == times
    present = form.presence(decoded.parts)
    assert present.tolist() == _present(view, rows)
    assert decoded.is_full == bool(present.all())


@given(views_with_rows())
def test_a_batch_is_packed_like_its_single_rows(
    case: tuple[FeatureView, list[Values], list[int]],
) -> None:
    view, rows, times = case
    form = record_format(view)
    columns: list[Any] = []
    for feature in view.features:
        given_values = [row[feature.name] for row in rows]
        if feature.dtype is FeatureDtype.STRING:
            # Absent values may be anything.
            columns.append([str(value).encode() for value in given_values])
        else:
            columns.append(np.array([7 if value is None else value for value in given_values]))
    present = np.array(_present(view, rows))

    records = pack_columns(form, columns, present, np.array(times, dtype=np.int64))

    alone = [pack_record(form, row, event_time_ms=at) for row, at in zip(rows, times, strict=True)]
    assert records == alone


def _present(view: FeatureView, rows: list[Values]) -> list[list[bool]]:
    return [[row[feature.name] is not None for feature in view.features] for row in rows]


@pytest.mark.parametrize("width", [1, 7, 8, 63, 64, 65, 128])
def test_a_lossy_record_differs_in_nothing_else(width: int) -> None:
    view = FeatureView("view", 1, "entity", floats(width))
    form = record_format(view)
    present = np.array([[place % 3 != row for place in range(width)] for row in range(3)])
    columns = [np.arange(3.0)] * width
    times_ms = np.arange(3)
    lossy = np.array([True, False, True])

    parts = form.parts(b"".join(pack_columns(form, columns, present, times_ms, lossy=lossy)))

    assert form.lossy(parts).tolist() == lossy.tolist()
    assert form.presence(parts).tolist() == present.tolist()
    assert not form.has_full_heads(parts)
    plain = pack_columns(form, columns, present, times_ms)
    unmarked = pack_columns(form, columns, present, times_ms, lossy=False)
    assert unmarked == plain


def test_absent_values_of_a_lossy_record_are_missing_and_no_nulls() -> None:
    defaulted = Feature("defaulted", FeatureDtype.FLOAT32, default=0.0)
    view = FeatureView("view", 1, "entity", (Feature("plain", FeatureDtype.FLOAT32), defaulted))
    form = record_format(view)
    records = [
        pack_record(form, {}, event_time_ms=5, is_lossy=is_lossy) for is_lossy in (False, True)
    ]
    columns = columns_of([FeatureRef("view", 1, each.name) for each in view.features], [view])
    rules = view_statuses(columns[0].view, columns)

    statuses = statuses_of(rules, decode(form, records), now_ms=10, last_known=None)

    assert statuses.tolist() == [
        [FeatureStatus.NULL, FeatureStatus.NULL_DEFAULTED],
        [FeatureStatus.MISSING, FeatureStatus.DEFAULTED],
    ]


def test_blank_and_foreign_records_are_distinguished() -> None:
    view = FeatureView("view", 1, "entity", (Feature("f", FeatureDtype.STRING),))
    form = record_format(view)
    good = pack_record(form, {"f": "x"}, event_time_ms=1)

    decoded = decode(form, [good, None, b"", b"?", good[:8], form.blank])

    assert decoded.wrong_digests == 2
    assert decoded.absent is not None
    assert decoded.absent.tolist() == [False, True, True, True, True, False]
    assert decoded.unread is not None
    assert decoded.unread.tolist() == [False, False, True, False, False, False]
    assert decoded.texts(0) == [b"x", b"", b"", b"", b"", b""]
