"""Event times in bins of other tools: read in the declared unit, or not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.domain.record_layouts import TimeUnit
from understudy.features.decisions.bin_times import bin_time_ms, bin_time_of

PER_S = {TimeUnit.S: 1, TimeUnit.MS: 10**3, TimeUnit.US: 10**6, TimeUnit.NS: 10**9}
READABLE_S = st.integers(10**8, 10**11 - 1)  # March 1973 to November 5138
UNITS = st.sampled_from(TimeUnit)


@given(time_s=READABLE_S, written=UNITS, declared=UNITS, is_float=st.booleans())
def test_a_time_is_read_as_it_was_written_or_not_at_all(
    time_s: int, written: TimeUnit, declared: TimeUnit, *, is_float: bool
) -> None:
    number = time_s * PER_S[written]

    found = bin_time_ms(float(number) if is_float else number, declared)

    assert found == (time_s * 1000 if written is declared else None)


@given(READABLE_S, UNITS)
def test_without_a_declared_unit_integers_are_milliseconds_and_floats_seconds(
    time_s: int, written: TimeUnit
) -> None:
    number = time_s * PER_S[written]

    assert bin_time_ms(number, None) == (time_s * 1000 if written is TimeUnit.MS else None)
    assert bin_time_ms(float(number), None) == (time_s * 1000 if written is TimeUnit.S else None)


@given(
    st.integers(-(2**63), 2**63 - 1) | st.floats() | st.integers(10**11, 10**14), UNITS | st.none()
)
def test_any_number_is_a_readable_time_or_none(number: float, unit: TimeUnit | None) -> None:
    found = bin_time_ms(number, unit)

    assert found is None or 10**11 <= found <= 10**14


@given(st.integers(-(10**15), 10**15) | st.integers(10**11, 10**14), UNITS | st.none())
def test_a_time_is_written_only_if_it_is_read_back(time_ms: int, unit: TimeUnit | None) -> None:
    number = bin_time_of(time_ms, unit)

    is_finer = unit is TimeUnit.S and time_ms % 1000 != 0
    assert (number is not None) is (10**11 <= time_ms < 10**14 and not is_finer)
    assert number is None or bin_time_ms(number, unit) == time_ms


@pytest.mark.parametrize("value", [None, True, "1764000000", b"x", [1764000000], {"s": 1764000000}])
def test_only_numbers_are_times(value: object) -> None:
    assert bin_time_ms(value, TimeUnit.S) is None
