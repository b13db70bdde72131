"""Translation of the domain's closed vocabularies to the wire's enums and back.

Each member maps to the value of its name: `Arm.CHAMPION` to `ARM_CHAMPION`. A member without a
value fails the import of this module, not a request.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Protocol, TypeVar

from understudy.domain.acting import WithheldReason
from understudy.domain.belief import RefusalReason
from understudy.domain.changes import Action
from understudy.domain.deployments import Arm, DegradationLevel, DegradationReason, RuleOperator
from understudy.domain.features import FeatureDtype
from understudy.domain.margins import Measure
from understudy.domain.snapshots import News, ScorerState
from understudy.registry.v1 import registry_pb2
from understudy.scoring.v1 import scoring_pb2

MemberT = TypeVar("MemberT", bound=Enum)
NumberT_co = TypeVar("NumberT_co", covariant=True)


class WireEnum(Protocol[NumberT_co]):
    """The part of a generated enum that is used here."""

    def Value(self, name: str) -> NumberT_co: ...  # noqa: N802 - protobuf's name


def wire_values(
    members: type[MemberT], wire: WireEnum[NumberT_co], prefix: str
) -> Mapping[MemberT, NumberT_co]:
    """Return the wire's number of each member.

    Raises:
        ValueError: the wire has no value with that name.
    """
    return {member: wire.Value(f"{prefix}_{member.name}") for member in members}


def shown_name(wire_name: str, prefix: str) -> str:
    """Return `champion` for `ARM_CHAMPION`, the form shown to people."""
    return wire_name.removeprefix(f"{prefix}_").lower()


ARMS = wire_values(Arm, scoring_pb2.Arm, "ARM")
ARM_OF = {number: arm for arm, number in ARMS.items()}
DTYPES = wire_values(FeatureDtype, scoring_pb2.FeatureDtype, "FEATURE_DTYPE")
DTYPE_OF = {number: dtype for dtype, number in DTYPES.items()}
LEVELS = wire_values(DegradationLevel, scoring_pb2.DegradationLevel, "DEGRADATION_LEVEL")
LEVEL_OF = {number: level for level, number in LEVELS.items()}
REASONS = wire_values(DegradationReason, scoring_pb2.DegradationReason, "DEGRADATION_REASON")
WITHHELD_REASONS = wire_values(WithheldReason, scoring_pb2.WithheldReason, "WITHHELD_REASON")
WITHHELD_REASON_OF = {number: reason for reason, number in WITHHELD_REASONS.items()}

ACTIONS = wire_values(Action, registry_pb2.Action, "ACTION")
OPERATORS = wire_values(RuleOperator, registry_pb2.RuleOperator, "RULE_OPERATOR")
OPERATOR_OF = {number: operator for operator, number in OPERATORS.items()}
MEASURES = wire_values(Measure, registry_pb2.Measure, "MEASURE")
MEASURE_OF = {number: measure for measure, number in MEASURES.items()}
REFUSAL_REASONS = wire_values(RefusalReason, registry_pb2.RefusalReason, "REFUSAL_REASON")
REFUSAL_REASON_OF = {number: reason for reason, number in REFUSAL_REASONS.items()}
NEWS = wire_values(News, registry_pb2.News, "NEWS")
NEWS_OF = {number: news for news, number in NEWS.items()}
STATES = wire_values(ScorerState, registry_pb2.ScorerState, "SCORER_STATE")
STATE_OF = {number: state for state, number in STATES.items()}
