"""The request contract: the entities and features of the requests to one deployment.

It belongs to the deployment and not to a version, so that no rollout changes it for callers. What a
version reads beyond a request is filled with declared defaults.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from understudy.domain.canonical import digest_of
from understudy.domain.errors import Fault, InvalidInputError, repeats
from understudy.domain.features import FeatureDtype

_FLOATS = frozenset({FeatureDtype.FLOAT32, FeatureDtype.FLOAT64})


@dataclass(frozen=True, slots=True, order=True)
class RequestFeature:
    """A feature that a request may supply."""

    name: str
    dtype: FeatureDtype


@dataclass(frozen=True, slots=True)
class VersionNeeds:
    """The parts of a request that one version can use."""

    entities: tuple[str, ...] = ()  # types, in the order in which the version reads them
    features: tuple[RequestFeature, ...] = ()  # stored ones too: a request may override them
    request_only: frozenset[str] = frozenset()  # names of features that no store has
    columns: tuple[RequestFeature, ...] = ()  # of the feature set, by every unambiguous name
    outputs: tuple[str, ...] = ()  # names of the model's outputs

    def dtype_of_column(self, name: str) -> FeatureDtype | None:
        """Return the dtype of a column of the feature set, or None if there is none of that name."""
        return next((each.dtype for each in self.columns if each.name == name), None)


@dataclass(frozen=True, slots=True)
class RequestContract:
    """The request contract of a deployment; replaced as a whole.

    Raises:
        InvalidInputError: on construction, if the contract contradicts itself; all faults reported.
    """

    required_entities: tuple[str, ...] = ()  # types without which a request is refused
    entities: tuple[str, ...] = ()  # types that a request may have, the required ones included
    features: tuple[RequestFeature, ...] = ()  # that a request may have, by name
    outputs: tuple[str, ...] = ()  # that a request may ask for
    unit_entity: str | None = None  # whose id is the unit key; None: the request id is
    seen_version: int = 0  # the entities of versions up to this number have been added

    def __post_init__(self) -> None:
        if faults := list(_faults(self)):
            raise InvalidInputError(faults)

    @property
    def digest(self) -> str:
        return digest_of("request_contract/1", contract_content(self))

    @property
    def dtypes(self) -> dict[str, FeatureDtype]:
        """The dtype of each feature by its name."""
        return {each.name: each.dtype for each in self.features}

    @property
    def unit_entities(self) -> tuple[str, ...]:
        """The entity types that supply the unit key, the first one sent counts.

        Required entities stand in for the declared one: candidates of a ScoreBatch may supply it.
        """
        if self.unit_entity is None:
            return ()
        return tuple(dict.fromkeys((self.unit_entity, *self.required_entities)))


@dataclass(frozen=True, slots=True)
class ContractChange:
    """The parts of a contract that an operator adds and removes, by name; None leaves the unit key."""

    require_entities: tuple[str, ...] = ()
    release_entities: tuple[str, ...] = ()  # no longer required, but still accepted
    accept_entities: tuple[str, ...] = ()
    refuse_entities: tuple[str, ...] = ()
    accept_features: tuple[str, ...] = ()
    refuse_features: tuple[str, ...] = ()
    unit_entity: str | None = None


@dataclass(frozen=True, slots=True)
class SentParts:
    """The names of the parts that a request has."""

    entities: frozenset[str]
    features: frozenset[str]


def is_refused(sent: SentParts, contract: RequestContract) -> bool:
    """Return whether `contract` refuses requests with these parts."""
    if not (sent.entities <= {*contract.entities} and sent.features <= contract.dtypes.keys()):
        return True
    return not sent.features and not sent.entities.issuperset(contract.required_entities)


def takes(column: FeatureDtype, sent: FeatureDtype) -> bool:
    """Return whether a column takes every value of the dtype in which callers send it.

    A float32 column takes float64: a value that it cannot hold counts as missing.
    """
    if column in _FLOATS:
        return sent in _FLOATS or sent is FeatureDtype.INT64
    return column is sent


def features_of(dtypes: Mapping[str, FeatureDtype]) -> tuple[RequestFeature, ...]:
    """Return the features with these dtypes in the order of their names."""
    return tuple(RequestFeature(name, dtypes[name]) for name in sorted(dtypes))


def contract_content(contract: RequestContract) -> dict[str, Any]:
    """Return the contract as JSON values."""
    return asdict(contract)


def contract_from_content(content: Mapping[str, Any]) -> RequestContract:
    """Return the contract that `contract_content` wrote.

    Raises:
        InvalidInputError: the content contradicts itself.
    """
    return RequestContract(
        required_entities=tuple(content["required_entities"]),
        entities=tuple(content["entities"]),
        features=tuple(
            RequestFeature(each["name"], FeatureDtype(each["dtype"]))
            for each in content["features"]
        ),
        outputs=tuple(content["outputs"]),
        unit_entity=content["unit_entity"],
        seen_version=content["seen_version"],
    )


def _faults(contract: RequestContract) -> Iterator[Fault]:
    known = ", ".join(contract.entities) or "nothing: no entity is accepted"
    for entity in contract.required_entities:
        if entity not in contract.entities:
            yield Fault("required_entities", repr(entity), f"an accepted entity: {known}")
    if contract.unit_entity is not None and contract.unit_entity not in contract.entities:
        yield Fault("unit_entity", repr(contract.unit_entity), f"an accepted entity: {known}")
    yield from repeats("required_entities", map(repr, contract.required_entities))
    yield from repeats("entities", map(repr, contract.entities))
    yield from repeats("features", (repr(each.name) for each in contract.features))
    yield from repeats("outputs", map(repr, contract.outputs))
