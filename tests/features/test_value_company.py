"""A value's fate depends on the value and its column's type, never on its neighbours; exact or refused."""

from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import example, given
from hypothesis import strategies as st

from understudy.comparison.decisions.outcome_values import (
    OutcomeColumns,
    outcomes_of_columns,
    outcomes_of_documents,
)
from understudy.domain.features import Feature, FeatureDtype
from understudy.features.decisions.column_values import ColumnValues, column_values
from understudy.features.decisions.entity_ids import id_texts
from understudy.features.decisions.event_times import times_of
from understudy.features.decisions.request_features import fault_of_value
from understudy.features.decisions.row_values import Reject

INT64 = Feature("n", FeatureDtype.INT64)
FLOAT32 = Feature("n", FeatureDtype.FLOAT32)
integers = st.integers(-(2**63), 2**63 - 1) | st.integers(-5, 5) | st.integers(2**53 - 2, 2**53 + 2)
floats = st.floats() | integers.map(float)
number_texts = st.text("0123456789+-.eE_x ", max_size=8) | integers.map(str) | floats.map(repr)
odd_texts = st.sampled_from(
    ["nan", "NaN", "inf", "\uff11\uff17", "1_000", "0x1A", "true", "", " 7 ", "1e3"]
)
decimals = st.decimals(min_value=-(10**20), max_value=10**20, places=3)
COLUMNS: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.string(): number_texts | odd_texts | st.text(max_size=4),
    pa.large_string(): number_texts,
    pa.string_view(): number_texts,
    pa.int64(): integers,
    pa.int8(): st.integers(-128, 127),
    pa.uint64(): st.integers(0, 2**64 - 1),
    pa.float64(): floats,
    pa.float32(): st.floats(width=32),
    pa.float16(): st.floats(width=16),
    pa.bool_(): st.booleans(),
    pa.decimal128(30, 3): decimals,
    pa.decimal256(50, 3): decimals,
    pa.binary(): st.binary(max_size=3),
    pa.date32(): st.dates(),
    pa.duration("us"): st.timedeltas(timedelta(-9), timedelta(9)),
    **{
        pa.timestamp(unit, tz): st.integers(-(10**10), 10**10)
        for unit in ("s", "ms", "us", "ns")  # numbers of seconds to nanoseconds since 1970
        for tz in (None, "UTC", "Asia/Kathmandu")
    },
}


@st.composite
def columns(draw: st.DrawFn) -> pa.Array:
    kind = draw(st.sampled_from(list(COLUMNS)))
    cells = draw(st.lists(st.none() | COLUMNS[kind], min_size=1, max_size=6))
    column = pa.array(cells, kind)
    can_be_dictionary = kind not in (pa.string_view(), pa.float16())
    return column.dictionary_encode() if can_be_dictionary and draw(st.booleans()) else column


def _cell(found: ColumnValues, row: int) -> tuple[bool, bool, str]:
    value = repr(found.values[row]) if found.present[row] else ""
    return bool(found.present[row]), bool(found.unusable[row]), value


@given(columns(), st.sampled_from(FeatureDtype))
def test_a_value_has_the_same_fate_alone_and_in_company(
    column: pa.Array, dtype: FeatureDtype
) -> None:
    feature = Feature("f", dtype)
    together, times, ids = column_values(feature, column), times_of(column), id_texts(column)

    for row in range(len(column)):
        alone = column.slice(row, 1)
        assert _cell(column_values(feature, alone), 0) == _cell(together, row)
        assert times_of(alone).us[0] == times.us[row]
        assert id_texts(alone) == [ids[row]]


@given(columns())
def test_an_int64_is_exact_or_refused(column: pa.Array) -> None:
    found = column_values(INT64, column)

    for row in range(len(column)):
        assert not (found.present[row] and found.unusable[row])
        if found.present[row]:
            given_value = column[row].as_py()
            exact = Decimal(given_value) if isinstance(given_value, str) else given_value
            assert Fraction(exact) == int(found.values[row])


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
@example(float(np.finfo(np.float32).max))
def test_a_float32_is_read_back_from_its_shortest_text(number: float) -> None:
    text = str(np.float32(number))  # 3.4028235e+38 for the largest, which is slightly less

    for column in (pa.array([text]), pa.array([float(text)])):
        found = column_values(FLOAT32, column)
        assert (found.present.tolist(), found.values[0]) == ([True], np.float32(number))
    assert fault_of_value(FeatureDtype.FLOAT32, float(text)) is None


def test_a_number_that_rounds_to_infinity_is_no_float32() -> None:
    beyond = 2.0**128 - 2.0**103

    assert column_values(FLOAT32, pa.array([-beyond])).unusable.tolist() == [True]
    assert fault_of_value(FeatureDtype.FLOAT32, beyond) == "a finite float32 number"


LABELS = OutcomeColumns(observed_at="seen")
json_values = (
    st.none()
    | st.booleans()
    | integers
    | number_texts
    | odd_texts
    | decimals
    | st.datetimes().map(datetime.isoformat)
    | st.lists(st.integers(), max_size=1)
)
documents = st.lists(
    st.dictionaries(st.sampled_from(LABELS.names), json_values, max_size=3), min_size=1, max_size=5
)


@given(documents)
def test_an_outcome_in_json_has_the_same_fate_alone_and_in_company(
    rows: list[dict[str, Any]],
) -> None:
    together = outcomes_of_documents(rows, LABELS, first_row=0)

    lost: list[Reject] = []
    for place, row in enumerate(rows):
        alone = outcomes_of_documents([row], LABELS, first_row=place)
        lost += alone.unusable
        if not alone.unusable:
            assert alone.request_ids[0] == together.request_ids[place]
            assert alone.labels[0] == together.labels[place]
    assert sorted(map(repr, lost)) == sorted(map(repr, together.unusable))


@given(columns(), columns(), columns())
def test_an_outcome_in_columns_has_the_same_fate_alone_and_in_company(
    ids: pa.Array, labels: pa.Array, seen: pa.Array
) -> None:
    rows = min(len(ids), len(labels), len(seen))
    arrays = [each.slice(0, rows) for each in (ids, labels, seen)]
    batch = pa.RecordBatch.from_arrays(arrays, names=LABELS.names)
    together = outcomes_of_columns(batch, LABELS, range(rows))

    lost: list[Reject] = []
    for row in range(rows):
        alone = outcomes_of_columns(batch.slice(row, 1), LABELS, [row])
        lost += alone.unusable
        if not alone.unusable:
            assert alone.request_ids[0] == together.request_ids[row]
            assert alone.labels[0] == together.labels[row]
    assert sorted(map(repr, lost)) == sorted(map(repr, together.unusable))
