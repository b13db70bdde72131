"""The names that a request to one model must and may use, compiled from its contract."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from understudy.domain.errors import Fault
from understudy.domain.features import FeatureDtype, FeatureScalar
from understudy.domain.request_contract import RequestContract
from understudy.features.decisions.feature_columns import shortened
from understudy.features.decisions.request_features import fault_of_value


@dataclass(frozen=True, slots=True, eq=False)
class RequestNames:
    required_entities: tuple[str, ...]
    entity_types: tuple[str, ...]
    unit_entities: tuple[str, ...]  # the first one sent supplies the unit key
    dtypes: Mapping[str, FeatureDtype]  # of request-time features
    output_names: tuple[str, ...]
    accepted_features: str  # for refusals of a name; one text for thousands of candidates


def request_names(contract: RequestContract) -> RequestNames:
    """Return the names in `contract`: versions are not asked, or each one would change callers."""
    return RequestNames(
        required_entities=contract.required_entities,
        entity_types=contract.entities,
        unit_entities=contract.unit_entities,
        dtypes=contract.dtypes,
        output_names=contract.outputs,
        accepted_features=(
            f"a feature in the request contract: {shortened(list(contract.dtypes)) or 'it has none'}"
        ),
    )


def feature_faults(features: Mapping[str, FeatureScalar], names: RequestNames) -> Iterator[Fault]:
    """Yield the faults of request-time features, by the names and dtypes of the contract."""
    for name, value in features.items():
        dtype = names.dtypes.get(name)
        if dtype is None:
            accepted = names.accepted_features
            yield Fault.of(f"features[{name}]", read=value, accepted=accepted)
        elif (wanted := fault_of_value(dtype, value)) is not None:
            yield Fault.of(f"features.{name}", read=value, accepted=wanted)
