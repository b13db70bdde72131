"""Deployments as messages: read as they were written, contract included."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.domain.margin_samples import MARGINS
from tests.domain.test_canonical import DEPLOYMENTS, TEXTS
from understudy.control.change_wire import change_from_wire, change_to_wire
from understudy.control.wire import deployment_from_wire, deployment_to_wire
from understudy.domain.changes import ChangeContract, SetShadow
from understudy.domain.deployments import Deployment
from understudy.domain.errors import InvalidInputError
from understudy.domain.request_contract import ContractChange
from understudy.registry.v1 import registry_pb2 as pb

NAMES = st.lists(TEXTS, max_size=2).map(tuple)
CHANGES = st.builds(ContractChange, *[NAMES] * 6, st.none() | TEXTS).map(
    ChangeContract
) | st.builds(
    SetShadow, st.integers(1, 9), st.integers(1, 10_000), st.booleans(), st.none() | MARGINS
)


@given(DEPLOYMENTS)
def test_a_deployment_is_read_as_it_was_written(deployment: Deployment) -> None:
    assert deployment_from_wire(deployment_to_wire(deployment)) == deployment


@given(CHANGES)
def test_a_change_is_read_as_it_was_written(change: ChangeContract | SetShadow) -> None:
    field, message = change_to_wire(change)

    request = pb.ChangeDeploymentRequest()
    getattr(request, field).CopyFrom(message)

    assert change_from_wire(request) == change


def test_a_deployment_without_a_contract_is_refused() -> None:
    message = deployment_to_wire(Deployment("fraud", 1, champion=1, salt="s"))
    message.ClearField("contract")

    with pytest.raises(InvalidInputError, match="contract: read nothing"):
        deployment_from_wire(message)
