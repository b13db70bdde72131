"""What the tests of the stack share."""

from collections.abc import Callable

import pytest

from stack.supervisor import free_port


@pytest.fixture
def unused_address() -> Callable[[], str]:
    """Return a maker of loopback addresses nobody listened on a moment ago."""
    return lambda: f"127.0.0.1:{free_port()}"
