"""The names that a request to one model must and may use, compiled from its contract."""

from collections.abc import Mapping
from dataclasses import dataclass

from understudy.domain.features import FeatureDtype
from understudy.domain.request_contract import RequestContract


@dataclass(frozen=True, slots=True, eq=False)
class RequestNames:
    required_entities: frozenset[str]
    entity_types: tuple[str, ...]
    unit_entities: tuple[str, ...]  # the first one sent supplies the unit key
    dtypes: Mapping[str, FeatureDtype]  # of request-time features
    output_names: tuple[str, ...]


def request_names(contract: RequestContract) -> RequestNames:
    """Return the names in `contract`: versions are not asked, or each one would change callers."""
    return RequestNames(
        required_entities=frozenset(contract.required_entities),
        entity_types=contract.entities,
        unit_entities=contract.unit_entities,
        dtypes=contract.dtypes,
        output_names=contract.outputs,
    )
