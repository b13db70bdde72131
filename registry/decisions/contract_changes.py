"""The change of a request contract that an operator makes on purpose."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from understudy.domain.deployments import Rule
from understudy.domain.errors import Fault, InvalidInputError
from understudy.domain.features import FeatureDtype
from understudy.domain.request_contract import (
    ContractChange,
    RequestContract,
    VersionNeeds,
    features_of,
)

_MOST_LISTED = 12


def changed_contract(
    contract: RequestContract,
    change: ContractChange,
    rules: Sequence[Rule],
    needs: Mapping[int, VersionNeeds],
) -> RequestContract:
    """Return `contract` with `change`.

    Args:
        contract: the current contract.
        change: the parts to add and remove.
        rules: of the deployment; a feature declared with a rule stays accepted.
        needs: of every registered version. Names that no version reads are taken for mistakes.

    Raises:
        InvalidInputError: a name is unknown, or still needed; all faults reported.
    """
    if faults := list(_faults(contract, change, rules, needs)):
        raise InvalidInputError(faults)
    dtypes = contract.dtypes
    for name in change.accept_features:
        dtypes.setdefault(name, _dtypes_read(needs)[name])
    kept = {name: dtype for name, dtype in dtypes.items() if name not in change.refuse_features}
    required = (*contract.required_entities, *change.require_entities)
    entities = (*contract.entities, *change.accept_entities, *change.require_entities)
    return replace(
        contract,
        required_entities=_without(required, change.release_entities),
        entities=_without(entities, change.refuse_entities),
        features=features_of(kept),
        unit_entity=contract.unit_entity if change.unit_entity is None else change.unit_entity,
    )


def _faults(
    contract: RequestContract,
    change: ContractChange,
    rules: Sequence[Rule],
    needs: Mapping[int, VersionNeeds],
) -> Iterator[Fault]:
    read = {entity: None for each in needs.values() for entity in each.entities}
    yield from _unknown("require_entities", change.require_entities, read)
    yield from _unknown("accept_entities", change.accept_entities, read)
    yield from _unknown("release_entities", change.release_entities, contract.required_entities)
    yield from _unknown("accept_features", change.accept_features, _dtypes_read(needs))
    yield from _unknown("refuse_features", change.refuse_features, contract.dtypes)
    yield from _unknown("refuse_entities", change.refuse_entities, contract.entities)
    entities = (*contract.entities, *change.accept_entities, *change.require_entities)
    if change.unit_entity is not None:
        yield from _unknown("unit_entity", (change.unit_entity,), entities)
    yield from _still_needed(contract, change, rules)


def _still_needed(
    contract: RequestContract, change: ContractChange, rules: Sequence[Rule]
) -> Iterator[Fault]:
    unit = contract.unit_entity if change.unit_entity is None else change.unit_entity
    required = {*contract.required_entities, *change.require_entities}
    for entity in change.refuse_entities:
        if entity in required.difference(change.release_entities):
            yield Fault.of(
                "refuse_entities", read=entity, accepted="an entity that is not required"
            )
        if entity == unit:
            accepted = "an entity other than that of the unit key"
            yield Fault.of("refuse_entities", read=entity, accepted=accepted)
    declaring = {rule.feature: rule.name for rule in rules if rule.request_dtype is not None}
    for name in change.refuse_features:
        if name in declaring:
            accepted = f"a feature that no rule declares; {declaring[name]!r} does"
            yield Fault.of("refuse_features", read=name, accepted=accepted)
    for field, added, removed in (
        ("release_entities", change.require_entities, change.release_entities),
        ("refuse_entities", change.accept_entities, change.refuse_entities),
        ("refuse_features", change.accept_features, change.refuse_features),
    ):
        for name in {*added} & {*removed}:
            yield Fault.of(field, read=name, accepted="a name that is not also added")


def _unknown(field: str, names: Sequence[str], known: Collection[str]) -> Iterator[Fault]:
    shown = ", ".join(sorted(known)[:_MOST_LISTED]) or "none: there is nothing of that kind"
    for name in names:
        if name not in known:
            yield Fault.of(field, read=name, accepted=f"one of {shown}")


def _dtypes_read(needs: Mapping[int, VersionNeeds]) -> dict[str, FeatureDtype]:
    """Return the dtype of every feature that a version reads, as the oldest version reads it."""
    dtypes: dict[str, FeatureDtype] = {}
    for number in sorted(needs):
        for feature in needs[number].features:
            dtypes.setdefault(feature.name, feature.dtype)
    return dtypes


def _without(names: Sequence[str], removed: Collection[str]) -> tuple[str, ...]:
    return tuple(name for name in dict.fromkeys(names) if name not in removed)
