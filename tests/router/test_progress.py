"""The progress of a call: only the last holder reports a failure, and only its methods change it."""

import ast
from dataclasses import fields
from pathlib import Path

import pytest

from router.calls.call import give_up
from router.calls.progress import Progress
from router.decisions.ladder import Cause
from tests.router.builders import bare_call

ROUTER = Path(__file__).parents[2] / "router"
FIELDS = {field.name for field in fields(Progress)}


async def test_only_the_last_failing_holder_reports_it() -> None:
    call = bare_call("r")
    call.progress.share()

    assert give_up([call]) == []
    assert give_up([call]) == [call]


async def test_an_answered_call_is_not_passed_on() -> None:
    call = bare_call("r")
    call.answer.set_result(b"")

    assert give_up([call]) == []


def test_the_first_cause_stays() -> None:
    progress = Progress()

    progress.fall(Cause.SCORER_FAILED)
    progress.fall(Cause.DEADLINE_NEAR)

    assert progress.degraded_because == "scorer_failed"


def test_a_call_is_tried_twice_and_a_hedge_is_the_second_time() -> None:
    failed, hedged = Progress(), Progress()

    failed.fail_attempt()
    hedged.hedge()

    assert failed.may_be_tried_again
    assert not failed.may_be_hedged
    hedged.fail_attempt()
    assert not hedged.may_be_tried_again


def test_a_call_shared_with_another_version_is_not_hedged() -> None:
    progress = Progress()
    assert progress.may_be_hedged

    progress.share()

    assert not progress.may_be_hedged


def assigned_attributes(source: str) -> set[str]:
    """Return the names of the attributes that a program assigns."""
    return {
        node.attr
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del)
    }


@pytest.mark.parametrize("source", ["call.progress.holders -= 1", "a.b, c.saw_rules = 1, True"])
def test_an_assignment_from_outside_is_found(source: str) -> None:
    assert assigned_attributes(source) & FIELDS


def test_only_its_own_methods_change_a_progress() -> None:
    others = [path for path in ROUTER.rglob("*.py") if path.name != "progress.py"]

    writers = {
        str(path): found
        for path in others
        if (found := assigned_attributes(path.read_text()) & FIELDS)
    }

    assert len(others) > 50
    assert writers == {}
