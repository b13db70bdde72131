"""The features of rules: each must reach the rule whichever version answers."""

from collections.abc import Iterator, Mapping

from understudy.domain.changes import Apply, Change, Rollback, SetRules
from understudy.domain.deployments import Deployment, Rule, answering_versions
from understudy.domain.errors import Fault, InvalidInputError, RefusedError
from understudy.domain.features import FeatureDtype
from understudy.domain.request_contract import VersionNeeds

_MOST_LISTED = 12
_DECLARED = "or any name, declared with the rule (request_dtype)"


def check_rules(after: Deployment, change: Change, needs: Mapping[int, VersionNeeds]) -> None:
    """Refuse a revision in which a rule could never act for the traffic of a version.

    A rollback is not checked: going back must always be possible.

    Raises:
        InvalidInputError: the change sets rules of which one reads nothing, or no number; all
            faults reported.
        RefusedError: the change gives traffic to a version that does not read a rule's feature.
    """
    if isinstance(change, Rollback):
        return
    faults = list(_faults(after, needs))
    if not faults:
        return
    if isinstance(change, SetRules | Apply):
        raise InvalidInputError(faults)
    raise RefusedError("a rule could not act; change the rules first: " + str(faults[0]))


def _faults(after: Deployment, needs: Mapping[int, VersionNeeds]) -> Iterator[Fault]:
    for index, rule in enumerate(after.rules):
        if rule.request_dtype is FeatureDtype.STRING:
            yield Fault(f"rules[{index}].request_dtype", "string", "a numeric dtype, or bool")
        for number in answering_versions(after):
            dtype = needs[number].dtype_of_column(rule.feature) or _sent_as(rule, after, needs)
            field = f"rules[{index}].feature"
            if dtype is None:
                read = f"{rule.feature!r}, which {after.model}@{number} does not read"
                yield Fault(field, read, f"{_listed(needs[number])}, {_DECLARED}")
                break
            if dtype is FeatureDtype.STRING:
                yield Fault(field, f"{rule.feature!r}, a string", "a feature with numeric values")
                break


def _sent_as(
    rule: Rule, after: Deployment, needs: Mapping[int, VersionNeeds]
) -> FeatureDtype | None:
    """Return the dtype of a feature that only requests supply, so that it needs no version."""
    if rule.request_dtype is not None:
        return rule.request_dtype
    if any(rule.feature in each.request_only for each in needs.values()):
        return after.contract.dtypes.get(rule.feature)
    return None


def _listed(needs: VersionNeeds) -> str:
    names = [each.name for each in needs.features]
    shown = ", ".join(names[:_MOST_LISTED])
    return f"{shown} and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else shown
