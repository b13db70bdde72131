"""JSON for programs: values of any kind, one rule for each."""

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from understudy.registry.v1 import registry_pb2
from understudy.runtime.terminal.json_output import json_text, json_value, print_json_lines
from understudy.runtime.terminal.message_values import message_value
from understudy.scoring.v1 import scoring_pb2


class Colour(StrEnum):
    RED = "red"


class Level(IntEnum):
    ONE = 1


class Odd(Enum):
    NAN = float("nan")


@dataclass(frozen=True, slots=True)
class Point:
    x: float
    name: str


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (float("nan"), None),
        (float("-inf"), None),
        (np.float32("inf"), None),
        (np.float32(0.5), 0.5),
        (np.int64(7), 7),
        (np.bool_(1), True),
        ({"a": [float("nan"), (1, {2})]}, {"a": [None, [1, [2]]]}),
        ({Colour.RED: Level.ONE}, {"red": 1}),
        (Odd.NAN, None),
        (Point(float("inf"), "p"), {"x": None, "name": "p"}),
        (datetime(2026, 1, 2, 3, tzinfo=UTC), "2026-01-02T03:00:00+00:00"),
        (date(2026, 1, 2), "2026-01-02"),
        (Path("a/b"), "a/b"),
        (Decimal("1.10"), 1.1),
        (Decimal("3.00"), 3),
        (Decimal(123456789012345678901234567890), 123456789012345678901234567890),
        (Decimal("Infinity"), None),
        (b"\x00\xff", "00ff"),
        (2**63, 2**63),
    ],
)
def test_every_value_has_one_form(value: object, plain: Any) -> None:
    assert json_value(value) == plain
    assert json.loads(json_text(value), parse_constant=pytest.fail) == plain


@pytest.mark.parametrize("text", ["\x1b[2J", "\x9b2J", "\u202e", "\u2028", "\ud800", "Zo\u00eb"])
def test_a_text_is_whole_and_moves_no_terminal(text: str) -> None:
    written = json_text({"text": text})

    assert written.isprintable()
    assert json.loads(written) == {"text": text}


def test_rows_are_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    print_json_lines([{"a": "x\ny"}, {"a": float("nan")}])

    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line) for line in lines] == [{"a": "x\ny"}, {"a": None}]


def test_every_field_of_a_message_is_there() -> None:
    written = message_value(registry_pb2.Deployment(model="fraud", revision=2**53 + 1))

    assert written.keys() == {field.name for field in registry_pb2.Deployment.DESCRIPTOR.fields}
    assert written["revision"] == 2**53 + 1
    assert written["challengers"] == []
    assert written["decision_threshold"] is None
    assert written["fallback"] is None


def test_numbers_maps_enums_and_times_of_a_message_are_plain() -> None:
    entry = registry_pb2.RevisionEntry()
    entry.at.FromSeconds(0)
    request = scoring_pb2.ScoreRequest(entities={"user": "7"})
    deployment = registry_pb2.Deployment(decision_threshold=float("nan"))
    process = registry_pb2.ScorerProcess(state=registry_pb2.SCORER_STATE_READY)

    assert message_value(entry)["at"] == "1970-01-01T00:00:00Z"
    assert message_value(request)["entities"] == {"user": "7"}
    assert json_value(message_value(deployment)["decision_threshold"]) is None
    assert message_value(process)["state"] == "SCORER_STATE_READY"
