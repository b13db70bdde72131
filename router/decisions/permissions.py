"""The table of a router's calls and roles. A call that is not in it is refused to all."""

from collections.abc import Mapping
from types import MappingProxyType

from understudy.domain.identities import Role

_SCORING = frozenset({Role.CALLER})
_LOOKING = frozenset({Role.CALLER, Role.VIEWER, Role.OPERATOR, Role.ADMIN})

# Admins score nothing: whose answers a model gave is a question of callers.
ROLES_OF_CALL: Mapping[str, frozenset[Role]] = MappingProxyType(
    {
        "Score": _SCORING,
        "ScoreBatch": _SCORING,
        "ScoreStream": _SCORING,
        "RecordOutcomes": _SCORING,
        "ExplainAssignment": _LOOKING,
        "ModelInfer": _SCORING,
        "ModelStreamInfer": _SCORING,
        "ModelMetadata": _LOOKING,
        "ModelReady": _LOOKING,
        "ServerLive": _LOOKING,
        "ServerMetadata": _LOOKING,
        "ServerReady": _LOOKING,
    }
)
