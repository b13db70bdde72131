"""Requests that no scorer would read are refused before they are sent."""

import numpy as np
import pytest

from router.adapters.oip_messages import RequestEncoder
from tests.router.samples import spec
from understudy.domain.errors import InvalidInputError
from understudy.runtime.front.grpc_server import MAX_MESSAGE_BYTES


@pytest.mark.fault
def test_a_request_above_the_largest_message_is_the_callers_fault_and_not_the_scorers() -> None:
    """It would end the stream of a healthy scorer, and in the end open its breaker."""
    rows = MAX_MESSAGE_BYTES // 8 + 1

    with pytest.raises(InvalidInputError, match="fewer rows"):
        RequestEncoder().encode(spec(1), (np.zeros((rows, 2), np.float32),), (), b"")
