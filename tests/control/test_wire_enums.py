"""Our closed vocabularies and the wire's enums say the same."""

from enum import Enum, StrEnum
from typing import Any

import pytest

from router.edge.admin_service import FAILURE_KINDS
from router.edge.log_books import LOG_KINDS
from understudy.control.wire_enums import (
    ACTIONS,
    ARMS,
    LEVELS,
    OPERATORS,
    REASONS,
    STATES,
    WITHHELD_REASONS,
    shown_name,
    wire_values,
)
from understudy.domain.deployments import Arm
from understudy.registry.v1 import registry_pb2
from understudy.router.v1 import router_pb2
from understudy.scoring.v1 import scoring_pb2


@pytest.mark.parametrize(
    ("values", "wire"),
    [
        (ARMS, scoring_pb2.Arm),
        (LEVELS, scoring_pb2.DegradationLevel),
        (REASONS, scoring_pb2.DegradationReason),
        (WITHHELD_REASONS, scoring_pb2.WithheldReason),
        (ACTIONS, registry_pb2.Action),
        (OPERATORS, registry_pb2.RuleOperator),
        (STATES, registry_pb2.ScorerState),
        (FAILURE_KINDS, router_pb2.FailureKind),
        (LOG_KINDS, router_pb2.LogKind),
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
