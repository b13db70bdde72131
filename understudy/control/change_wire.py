"""Translation of deployment changes to the registry's messages and back."""

from collections.abc import Callable
from typing import Any, assert_never

from google.protobuf.message import Message

from understudy.control.wire import (
    fallback_from_wire,
    fallback_to_wire,
    rule_from_wire,
    rule_to_wire,
)
from understudy.domain.changes import (
    Change,
    DeployChampion,
    Promote,
    Rollback,
    SetCanary,
    SetFallback,
    SetRules,
    SetShadow,
    SetThreshold,
)
from understudy.domain.errors import InvalidInputError
from understudy.registry.v1 import registry_pb2 as pb


def change_from_wire(message: pb.ChangeDeploymentRequest) -> Change:
    """Return the requested change.

    Raises:
        InvalidInputError: there is no change, or it is not readable.
    """
    kind = message.WhichOneof("change")
    if kind is None:
        raise InvalidInputError.of("change", read=None, accepted="exactly one change")
    return _READERS[kind](getattr(message, kind))


def change_to_wire(change: Change) -> tuple[str, Message]:
    """Return the field of ChangeDeploymentRequest that carries `change`, and its message."""
    match change:
        case Promote(version=number):
            return "promote", pb.Promote(version=number or 0)
        case Rollback(to_revision=number):
            return "rollback", pb.Rollback(to_revision=number or 0)
        case DeployChampion() | SetShadow() | SetCanary():
            return _share_to_wire(change)
        case SetFallback() | SetRules() | SetThreshold():
            return _policy_to_wire(change)
        case _:
            assert_never(change)


def _share_to_wire(change: DeployChampion | SetShadow | SetCanary) -> tuple[str, Message]:
    match change:
        case DeployChampion(version=version):
            return "deploy", pb.DeployChampion(version=version)
        case SetShadow(version=version, sample_bp=share_bp):
            return "shadow", pb.SetShadow(version=version, sample_bp=share_bp)
        case SetCanary(version=version, weight_bp=share_bp):
            return "canary", pb.SetCanary(version=version, weight_bp=share_bp)
        case _:
            assert_never(change)


def _policy_to_wire(change: SetFallback | SetRules | SetThreshold) -> tuple[str, Message]:
    match change:
        case SetFallback(fallback=fallback):
            return "fallback", pb.SetFallback(fallback=fallback_to_wire(fallback))
        case SetRules(rules=rules):
            return "rules", pb.SetRules(rules=[rule_to_wire(rule) for rule in rules])
        case SetThreshold(decision_threshold=threshold):
            return "threshold", pb.SetThreshold(decision_threshold=threshold)
        case _:
            assert_never(change)


def _rules(message: pb.SetRules) -> SetRules:
    try:
        return SetRules(tuple(rule_from_wire(rule) for rule in message.rules))
    except ValueError as error:
        raise InvalidInputError.of("rules", read=str(error), accepted="> >= < <= == !=") from error


def _threshold(message: pb.SetThreshold) -> SetThreshold:
    given = message.HasField("decision_threshold")
    return SetThreshold(message.decision_threshold if given else None)


_READERS: dict[str, Callable[[Any], Change]] = {
    "deploy": lambda message: DeployChampion(message.version),
    "shadow": lambda message: SetShadow(message.version, message.sample_bp),
    "canary": lambda message: SetCanary(message.version, message.weight_bp),
    "promote": lambda message: Promote(message.version or None),
    "rollback": lambda message: Rollback(message.to_revision or None),
    "fallback": lambda message: SetFallback(fallback_from_wire(message.fallback)),
    "rules": _rules,
    "threshold": _threshold,
}
