"""The request contract of the next revision: set by the first one, grown by versions and rules.

first deploy                    requires the entities of the champion; its first is the unit key
a version is registered         its entities are accepted from the next change on
a version or rule is declared   its features and outputs are accepted
a rollback                      changes nothing
a change of the contract        the only one that requires, releases or refuses
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from registry.decisions.contract_changes import changed_contract
from registry.decisions.declared_policy import DeclaredPolicy
from understudy.domain.changes import Change, ChangeContract, Rollback
from understudy.domain.deployments import Deployment, versions_in_use
from understudy.domain.errors import RefusedError
from understudy.domain.features import FeatureDtype
from understudy.domain.request_contract import (
    RequestContract,
    RequestFeature,
    VersionNeeds,
    features_of,
    takes,
)


@dataclass(frozen=True, slots=True)
class ModelVersions:
    """The registered versions of a model, as far as contracts depend on them."""

    needs: Mapping[int, VersionNeeds]  # of each registered version, by number
    named: frozenset[int] = frozenset()  # versions in any revision so far
    policies: Mapping[int, DeclaredPolicy] = field(default_factory=dict)  # of possible champions


def next_contract(
    before: Deployment | None, after: Deployment, change: Change, versions: ModelVersions
) -> RequestContract:
    """Return the contract of the revision that `change` makes.

    Args:
        before: the current revision; None if `after` is the first.
        after: the next revision, with versions that are all registered.
        change: the change between them.
        versions: the registered versions.

    Raises:
        RefusedError: a version or rule cannot take a feature in the dtype in which callers send it.
        InvalidInputError: the change of a contract has faults.
    """
    if before is None:
        contract = _first(versions.needs[after.champion])
    elif isinstance(change, Rollback):
        return before.contract
    else:
        contract = before.contract
    contract = _with_registered_entities(contract, versions)
    if isinstance(change, ChangeContract):
        contract = changed_contract(contract, change.change, after.rules, versions.needs)
    declared = list(_declared(before, after, versions))
    for reader, needs in declared:
        contract = _with_needs(contract, reader, needs)
    _check_earlier(before, contract, after.model, versions)
    return contract


def _first(champion: VersionNeeds) -> RequestContract:
    return RequestContract(
        required_entities=champion.entities,
        entities=champion.entities,
        unit_entity=champion.entities[0] if champion.entities else None,
    )


def _with_registered_entities(
    contract: RequestContract, versions: ModelVersions
) -> RequestContract:
    """Accept the entities of versions that have been registered since the last revision.

    So callers can send them before such a version takes any traffic. An id that no version reads
    changes no score; a feature that none reads would be ignored without the caller's knowledge.
    """
    added = [
        entity
        for number in sorted(versions.needs)
        if number > contract.seen_version
        for entity in versions.needs[number].entities
    ]
    return replace(
        contract,
        entities=tuple(dict.fromkeys((*contract.entities, *added))),
        seen_version=max(contract.seen_version, *versions.needs),
    )


def _declared(
    before: Deployment | None, after: Deployment, versions: ModelVersions
) -> list[tuple[str, VersionNeeds]]:
    """Return the versions and rules that `after` adds, by name, with the features that they read."""
    known = versions_in_use(before) if before is not None else ()
    rules = before.rules if before is not None else ()
    return [
        *(
            (f"{after.model}@{number}", versions.needs[number])
            for number in versions_in_use(after)
            if number not in known
        ),
        *(
            (f"rule {rule.name!r}", _needs_of_rule(rule.feature, rule.request_dtype))
            for rule in after.rules
            if rule.request_dtype is not None and rule not in rules
        ),
    ]


def _needs_of_rule(name: str, dtype: FeatureDtype) -> VersionNeeds:
    return VersionNeeds(features=(RequestFeature(name, dtype),))


def _with_needs(contract: RequestContract, reader: str, needs: VersionNeeds) -> RequestContract:
    dtypes = contract.dtypes
    for feature in needs.features:
        _check_takes(reader, feature, dtypes.setdefault(feature.name, feature.dtype))
    return replace(
        contract,
        entities=tuple(dict.fromkeys((*contract.entities, *needs.entities))),
        features=features_of(dtypes),
        outputs=tuple(dict.fromkeys((*contract.outputs, *needs.outputs))),
    )


def _check_earlier(
    before: Deployment | None, contract: RequestContract, model: str, versions: ModelVersions
) -> None:
    """Refuse new features that a version of an earlier revision could not take: rollbacks lead there."""
    known = before.contract.dtypes if before is not None else {}
    added = {name: dtype for name, dtype in contract.dtypes.items() if name not in known}
    for number in sorted(versions.named & versions.needs.keys()) if added else ():
        for feature in versions.needs[number].features:
            if feature.name in added:
                _check_takes(f"{model}@{number}", feature, added[feature.name])


def _check_takes(reader: str, feature: RequestFeature, sent: FeatureDtype) -> None:
    if not takes(feature.dtype, sent):
        raise RefusedError(
            f"{reader} reads {feature.name} as {feature.dtype}, but the contract has it as {sent}, "
            "in which callers send it; give the new feature another name"
        )
