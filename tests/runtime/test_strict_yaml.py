"""YAML by the rules of version 1.2, each key once; every text gives values or a fault."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.domain.errors import InvalidInputError
from understudy.runtime.strict_yaml import parse_yaml

TEXTS_OF_1_1 = ("NO", "on", "y", "012", "0x1A", "0o17", "1_000", "1:30", "12:30:45", "2025-01-01")
NO_NUMBERS = ("1e", "+", ".", "1.2.3", "\N{ARABIC-INDIC DIGIT ONE}")
REFUSED = (
    *("{a: 1, a: 2}", "a: 1\n---\nb: 2", "[" * 5000, "9" * 5000, "{[1]: 2}", "a: *b", "@", "\0"),
    *("!!int x", "!!int ''", "!!timestamp x", "!!bool x", "!!python/object:os.system x", "\ud800"),
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12),
        ("-3", -3),
        ("1e3", 1000.0),
        ("+.5E-1", 0.05),
        ("1.", 1.0),
        ("-.inf", float("-inf")),
        ("true", True),
        ("", None),
        ("~", None),
        ("\ufeff{a: }", {"a": None}),
        *((text, text) for text in (*TEXTS_OF_1_1, *NO_NUMBERS)),
    ],
)
def test_a_scalar_is_what_it_looks_like(text: str, value: Any) -> None:
    found = parse_yaml(text, "file")

    assert (found, type(found)) == (value, type(value))


def test_a_merged_mapping_gives_way_to_the_keys_beside_it() -> None:
    found = parse_yaml("{base: &b {x: 1, y: 2}, more: {<<: *b, x: 3}}", "file")

    assert found["more"] == {"x": 3, "y": 2}


@pytest.mark.parametrize("text", REFUSED)
def test_other_texts_are_faults_that_name_the_file(text: str) -> None:
    with pytest.raises(InvalidInputError, match=r"^file: read .*; accepted: a YAML file"):
        parse_yaml(text, "file")


@given(st.text("{}[]:,-!&*<>|#%@'\"? \n\t01aé\0\ud800", max_size=12))
def test_any_text_gives_values_or_a_fault(text: str) -> None:
    with suppress(InvalidInputError):
        parse_yaml(text, "file")
