"""Our closed vocabularies and the wire's enums say the same."""

from enum import Enum, StrEnum
from typing import Any

import pytest

from understudy.control.wire_enums import ARMS, LEVELS, REASONS, shown_name, wire_values
from understudy.domain.deployments import Arm
from understudy.scoring.v1 import scoring_pb2


@pytest.mark.parametrize(
    ("values", "wire"),
    [
        (ARMS, scoring_pb2.Arm),
        (LEVELS, scoring_pb2.DegradationLevel),
        (REASONS, scoring_pb2.DegradationReason),
    ],
)
def test_every_value_of_the_wire_but_zero_is_a_member_and_back(
    values: dict[Enum, int], wire: Any
) -> None:
    assert sorted([0, *values.values()]) == sorted(wire.values())


def test_a_member_that_the_wire_lacks_is_found_at_once() -> None:
    class Fruit(StrEnum):
        APPLE = "apple"

    with pytest.raises(ValueError, match="ARM_APPLE"):
        wire_values(Fruit, scoring_pb2.Arm, "ARM")


def test_people_read_a_value_without_its_prefix() -> None:
    assert shown_name(scoring_pb2.Arm.Name(ARMS[Arm.CHALLENGER]), "ARM") == "challenger"
