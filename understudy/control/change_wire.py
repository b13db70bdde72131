"""Translation of deployment changes to the registry's messages and back."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, assert_never

from google.protobuf.message import Message

from understudy.control.contract_wire import contract_change_from_wire, contract_change_to_wire
from understudy.control.margins_wire import margins_from_wire, margins_to_wire
from understudy.control.wire import (
    challengers_from_wire,
    challengers_to_wire,
    fallback_from_wire,
    fallback_to_wire,
    rule_from_wire,
    rule_to_wire,
    shadows_from_wire,
    shadows_to_wire,
)
from understudy.control.wire_enums import DTYPE_OF, OPERATOR_OF
from understudy.control.wire_values import value_or_none
from understudy.domain.changes import (
    Apply,
    Change,
    ChangeContract,
    DeployChampion,
    Pause,
    PolicyChoice,
    PolicySource,
    Promote,
    RemoveCanary,
    RemoveShadow,
    Rollback,
    SetCanary,
    SetFallback,
    SetHostLabels,
    SetRules,
    SetShadow,
    SetThreshold,
    Undeploy,
)
from understudy.domain.deployments import Rule
from understudy.domain.errors import Fault, InvalidInputError, raise_any
from understudy.registry.v1 import registry_pb2 as pb

_OPERATORS_ACCEPTED = "GREATER, AT_LEAST, LESS, AT_MOST, EQUAL or UNEQUAL"


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
        case Promote(version=number, threshold=threshold):
            return "promote", pb.Promote(version=number, threshold=_choice_to_wire(threshold))
        case Rollback(to_revision=number, only_champion=only_champion):
            return "rollback", pb.Rollback(to_revision=number, only_champion=only_champion)
        case DeployChampion(version=version, threshold=threshold, fallback_score=score):
            return "deploy_champion", pb.DeployChampion(
                version=version,
                threshold=_choice_to_wire(threshold),
                fallback_score=_choice_to_wire(score),
            )
        case SetShadow() | RemoveShadow() | SetCanary() | RemoveCanary() | Pause():
            return _share_to_wire(change)
        case (
            SetFallback()
            | SetRules()
            | SetThreshold()
            | SetHostLabels()
            | ChangeContract()
            | Apply()
        ):
            return _policy_to_wire(change)
        case Undeploy():
            return "undeploy", pb.Undeploy()
        case _:
            assert_never(change)


def _share_to_wire(
    change: SetShadow | RemoveShadow | SetCanary | RemoveCanary | Pause,
) -> tuple[str, Message]:
    match change:
        case SetShadow(version=version, sample_bp=share_bp, refuses_defaults=refuses_defaults):
            return "set_shadow", pb.SetShadow(
                version=version,
                sample_bp=share_bp,
                refuses_defaults=refuses_defaults,
                margins=margins_to_wire(change.margins),
            )
        case RemoveShadow(version=version):
            return "remove_shadow", pb.RemoveShadow(version=version)
        case SetCanary(version=version, weight_bp=share_bp):
            return "set_canary", pb.SetCanary(version=version, weight_bp=share_bp)
        case RemoveCanary(version=version):
            return "remove_canary", pb.RemoveCanary(version=version)
        case Pause(version=number):
            return "pause", pb.Pause(version=number)
        case _:
            assert_never(change)


def _policy_to_wire(
    change: SetFallback | SetRules | SetThreshold | SetHostLabels | ChangeContract | Apply,
) -> tuple[str, Message]:
    match change:
        case ChangeContract(change=parts):
            return "change_contract", contract_change_to_wire(parts)
        case SetFallback(fallback=fallback):
            return "set_fallback", pb.SetFallback(fallback=fallback_to_wire(fallback))
        case SetRules(rules=rules):
            return "set_rules", pb.SetRules(rules=[rule_to_wire(rule) for rule in rules])
        case SetThreshold(decision_threshold=threshold):
            return "set_threshold", pb.SetThreshold(decision_threshold=threshold)
        case SetHostLabels(labels=labels):
            return "set_host_labels", pb.SetHostLabels(labels=labels)
        case Apply():
            return "apply", _apply_to_wire(change)
        case _:
            assert_never(change)


def _apply_to_wire(change: Apply) -> pb.Apply:
    return pb.Apply(
        champion=change.champion,
        challengers=challengers_to_wire(change.challengers),
        shadows=shadows_to_wire(change.shadows),
        fallback=fallback_to_wire(change.fallback),
        decision_threshold=change.decision_threshold,
        rules=[rule_to_wire(rule) for rule in change.rules],
        host_labels=change.host_labels,
    )


def _apply(message: pb.Apply) -> Apply:
    return Apply(
        champion=message.champion,
        challengers=challengers_from_wire(message.challengers),
        shadows=shadows_from_wire(message.shadows),
        fallback=fallback_from_wire(message.fallback),
        decision_threshold=value_or_none(message, "decision_threshold"),
        rules=_rules(message.rules),
        host_labels=tuple(message.host_labels),
    )


def _rules(rules: Sequence[pb.Rule]) -> tuple[Rule, ...]:
    raise_any(_rule_faults(rules))
    return tuple(rule_from_wire(rule) for rule in rules)


def _rule_faults(rules: Sequence[pb.Rule]) -> Iterator[Fault]:
    for index, rule in enumerate(rules):
        if rule.operator not in OPERATOR_OF:
            yield Fault(f"rules[{index}].operator", str(rule.operator), _OPERATORS_ACCEPTED)
        if rule.HasField("request_dtype") and rule.request_dtype not in DTYPE_OF:
            read = str(rule.request_dtype)
            yield Fault(f"rules[{index}].request_dtype", read, "a known dtype, or none")


def _choice_to_wire(choice: PolicyChoice | None) -> pb.PolicyChoice | None:
    match choice:
        case None:
            return None
        case PolicySource():
            return pb.PolicyChoice(source=_SOURCES[choice])
        case _:
            return pb.PolicyChoice(value=choice)


def _choice(message: Message, field: str) -> PolicyChoice | None:
    if not message.HasField(field):
        return None
    choice: pb.PolicyChoice = getattr(message, field)
    if choice.WhichOneof("choice") == "value":
        return choice.value
    if choice.source not in _SOURCE_OF:
        raise InvalidInputError.of(field, read=choice.source, accepted="keep, record or a number")
    return _SOURCE_OF[choice.source]


def _threshold(message: pb.SetThreshold) -> SetThreshold:
    return SetThreshold(value_or_none(message, "decision_threshold"))


_SOURCES = {
    PolicySource.KEEP: pb.POLICY_SOURCE_KEEP,
    PolicySource.RECORD: pb.POLICY_SOURCE_RECORD,
}
_SOURCE_OF = {number: source for source, number in _SOURCES.items()}
_READERS: dict[str, Callable[[Any], Change]] = {
    "deploy_champion": lambda message: DeployChampion(
        message.version, _choice(message, "threshold"), _choice(message, "fallback_score")
    ),
    "set_shadow": lambda message: SetShadow(
        message.version, message.sample_bp, message.refuses_defaults, margins_from_wire(message)
    ),
    "remove_shadow": lambda message: RemoveShadow(message.version),
    "set_canary": lambda message: SetCanary(message.version, message.weight_bp),
    "remove_canary": lambda message: RemoveCanary(message.version),
    "promote": lambda message: Promote(
        value_or_none(message, "version"), _choice(message, "threshold")
    ),
    "rollback": lambda message: Rollback(
        value_or_none(message, "to_revision"), message.only_champion
    ),
    "set_fallback": lambda message: SetFallback(fallback_from_wire(message.fallback)),
    "set_rules": lambda message: SetRules(_rules(message.rules)),
    "set_threshold": _threshold,
    "set_host_labels": lambda message: SetHostLabels(tuple(message.labels)),
    "change_contract": lambda message: ChangeContract(contract_change_from_wire(message)),
    "pause": lambda message: Pause(value_or_none(message, "version")),
    "apply": _apply,
    "undeploy": lambda _: Undeploy(),
}
