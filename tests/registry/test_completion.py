"""A shell completes models and versions, and waits for no registry that is away."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from registry.decisions.name_ranges import before_prefix
from stack.__main__ import app
from understudy.runtime.exit_codes import OK

NAMES = st.from_regex(r"[a-c0][abz0_-]{0,3}", fullmatch=True)


def completed(*words: str) -> list[str]:
    """Return the words that bash would offer in place of the last one."""
    asked = {
        "_UNDERSTUDY_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(("understudy", *words)),
        "COMP_CWORD": str(len(words)),
    }
    result = CliRunner().invoke(app, [], prog_name="understudy", env={**os.environ, **asked})
    assert result.exit_code == OK
    return result.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("registry", "show", "fr"), ["fraud", "fraud@1", "fraud@2"]),
        (("registry", "show", "fraud@"), ["fraud@1", "fraud@2"]),
        (("registry", "canary", "fraud@2"), ["fraud@2"]),
        (("registry", "history", "f"), ["fraud"]),
        (("registry", "history", "g"), []),
        (("registry", "history", "Fr"), []),
        (("registry", "deploy", "loan@"), []),
        (("registry", "ro"), ["rollback"]),
    ],
)
def test_models_and_versions_are_offered(
    unchanged: str, words: tuple[str, ...], offered: list[str]
) -> None:
    assert completed(*words) == offered


def test_a_second_word_is_completed_as_a_version_of_the_first(unchanged: str) -> None:
    # An empty last word is beyond the words that bash splits.
    assert completed("registry", "deploy", "fraud", "") == ["1", "2"]
    assert completed("registry", "deploy", "fraud", "2") == ["2"]


@pytest.mark.parametrize("target", ["127.0.0.1:1", "not an address"])
def test_nothing_is_offered_or_said_without_a_registry(
    monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    monkeypatch.setenv("UNDERSTUDY_REGISTRY", target)

    assert completed("registry", "show", "fr") == []


@given(NAMES, NAMES)
def test_names_with_a_prefix_come_after_its_beginning_and_smaller_ones_do_not(
    prefix: str, name: str
) -> None:
    start = before_prefix(prefix)
    key = (name, 1)

    if start is None:
        assert name >= prefix
    elif name.startswith(prefix):
        assert key > (start.model, start.number)
    elif name < prefix:
        assert key <= (start.model, start.number)
