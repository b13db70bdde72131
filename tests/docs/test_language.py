"""Text is native English in the ways that a machine can check; see CONTRIBUTING, "Names"."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
QUESTION = re.compile(
    r"(?:what|who|whose|whom|whoever|whatever|whether|which|how|when|where|why)\b", re.IGNORECASE
)
ASKING = re.compile(r"[A-Z][a-z]+ (?:what|who|whom|whose)\b")  # "Return what a model gives."
PRONOUN = re.compile(
    r"\b(?:nobody|somebody|anybody|everybody|whoever|whosoever)\b(?![@-])", re.IGNORECASE
)

Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def files(*suffixes: str) -> list[Path]:
    """Return the texts of the checkout, without generated code and environments."""
    tops = [top for top in ROOT.iterdir() if not top.name.startswith(".") and top.name != "build"]
    paths = [path for top in tops for path in (top, *top.rglob("*")) if path.suffix in suffixes]
    return [path for path in paths if path.is_file() and "_pb2" not in path.name]


def docstrings(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of each docstring."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, Documented) and (text := ast.get_docstring(node)):
            yield node.body[0].lineno, text


def question_openings(source: str) -> list[int]:
    return [line for line, text in docstrings(source) if QUESTION.match(text) or ASKING.match(text)]


def pronouns(text: str) -> list[int]:
    """Return the lines that use one; an id such as "nobody" in quotation marks is a value."""
    lines = text.replace('"nobody"', "").splitlines()
    return [number for number, line in enumerate(lines, 1) if PRONOUN.search(line)]


def test_a_docstring_opens_with_a_noun_or_a_verb() -> None:
    found = {
        f"{path.relative_to(ROOT)}:{line}"
        for path in files(".py")
        for line in question_openings(path.read_text())
    }

    assert not found, "open with the thing or the deed, not with a question word"


def test_subjects_are_things_not_pronouns() -> None:
    allowed = {Path(__file__), ROOT / "CONTRIBUTING.md"}  # they name the words
    found = {
        f"{path.relative_to(ROOT)}:{line}"
        for path in files(".py", ".md", ".proto")
        if path not in allowed
        for line in pronouns(path.read_text())
    }

    assert not found, "name the caller, the process or the operator that is meant"


@pytest.mark.parametrize(
    "opening", ["What a model gives.", "Whether it runs.", "How to wait.", "Return what it gives."]
)
def test_a_question_is_found(opening: str) -> None:
    assert question_openings(f'def f():\n    """{opening}"""') == [2]


def test_a_pronoun_is_found_and_a_value_is_not() -> None:
    assert pronouns('fine\nNobody waits\nscore("nobody")') == [2]
