"""Trace contexts: the headers that the W3C's recommendation permits, and no others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.domain.trace_context import TraceContext, trace_context_of

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
HEADER = f"00-{TRACE}-{SPAN}-01"

contexts = st.builds(
    TraceContext,
    st.text("0123456789abcdef", min_size=32, max_size=32).filter(lambda text: text.strip("0")),
    st.text("0123456789abcdef", min_size=16, max_size=16).filter(lambda text: text.strip("0")),
    st.integers(0, 255),
)


@given(contexts)
def test_a_header_is_read_as_it_is_written(context: TraceContext) -> None:
    assert trace_context_of(context.traceparent) == context


@pytest.mark.parametrize(
    "header",
    [
        "",
        HEADER.upper(),
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-01-later",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\n",
        f"01-{TRACE}-{SPAN}-01later",
    ],
)
def test_an_invalid_header_is_no_context(header: str) -> None:
    assert trace_context_of(header) is None


@given(st.text(max_size=80))
def test_any_text_is_a_valid_context_or_none(header: str) -> None:
    context = trace_context_of(header)

    assert context is None or trace_context_of(context.traceparent) == context


@pytest.mark.parametrize("later", ["", "-later-fields"])
def test_of_a_later_version_only_the_known_fields_count(later: str) -> None:
    assert trace_context_of(f"cc-{TRACE}-{SPAN}-03{later}") == TraceContext(TRACE, SPAN, 1)


def test_the_sampled_flag_is_the_last_bit() -> None:
    sampled = [TraceContext(TRACE, SPAN, flags).is_sampled for flags in (0, 1, 2, 3)]

    assert sampled == [False, True, False, True]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("congo=t61rcWkgMzE,rojo=00f067aa0ba902b7", "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"),
        (" congo=1 ,, tenant@system=2", "congo=1,tenant@system=2"),
        ("congo", ""),
        ("CONGO=1", ""),
        ("a=1,b=\n", ""),
        (",".join(f"k{number}=1" for number in range(33)), ""),
        (f"a={'x' * 511}", ""),
    ],
)
def test_an_invalid_state_costs_only_itself(sent: str, kept: str) -> None:
    assert trace_context_of(HEADER, sent) == TraceContext(TRACE, SPAN, 1, kept)
