"""Translation of request contracts, and of their changes, to messages and back."""

from understudy.control.wire_enums import DTYPE_OF, DTYPES
from understudy.control.wire_values import value_or_none
from understudy.domain.errors import Fault, InvalidInputError
from understudy.domain.request_contract import ContractChange, RequestContract, RequestFeature
from understudy.registry.v1 import registry_pb2 as pb
from understudy.scoring.v1 import scoring_pb2


def contract_from_wire(message: scoring_pb2.RequestContract) -> RequestContract:
    """Return the contract.

    Raises:
        InvalidInputError: it contradicts itself, or a dtype is unknown.
    """
    faults = [
        Fault(f"contract.features[{index}].dtype", str(feature.dtype), "a known dtype")
        for index, feature in enumerate(message.features)
        if feature.dtype not in DTYPE_OF
    ]
    if faults:
        raise InvalidInputError(faults)
    return RequestContract(
        required_entities=tuple(message.required_entities),
        entities=tuple(message.entities),
        features=tuple(
            RequestFeature(feature.name, DTYPE_OF[feature.dtype]) for feature in message.features
        ),
        outputs=tuple(message.outputs),
        unit_entity=value_or_none(message, "unit_entity"),
        seen_version=message.seen_version,
    )


def contract_to_wire(contract: RequestContract) -> scoring_pb2.RequestContract:
    return scoring_pb2.RequestContract(
        required_entities=contract.required_entities,
        entities=contract.entities,
        features=[
            scoring_pb2.RequestFeature(name=each.name, dtype=DTYPES[each.dtype])
            for each in contract.features
        ],
        outputs=contract.outputs,
        unit_entity=contract.unit_entity,
        seen_version=contract.seen_version,
    )


def contract_change_from_wire(message: pb.ChangeContract) -> ContractChange:
    return ContractChange(
        require_entities=tuple(message.require_entities),
        release_entities=tuple(message.release_entities),
        accept_entities=tuple(message.accept_entities),
        refuse_entities=tuple(message.refuse_entities),
        accept_features=tuple(message.accept_features),
        refuse_features=tuple(message.refuse_features),
        unit_entity=value_or_none(message, "unit_entity"),
    )


def contract_change_to_wire(change: ContractChange) -> pb.ChangeContract:
    return pb.ChangeContract(
        require_entities=change.require_entities,
        release_entities=change.release_entities,
        accept_entities=change.accept_entities,
        refuse_entities=change.refuse_entities,
        accept_features=change.accept_features,
        refuse_features=change.refuse_features,
        unit_entity=change.unit_entity,
    )
