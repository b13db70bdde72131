"""Shared fixtures of the tests of the stack."""

from collections.abc import Callable

import pytest

from understudy.runtime.free_port import free_ports


@pytest.fixture
def unused_address() -> Callable[[], str]:
    """Return a function that returns loopback addresses with ports that were free a moment ago."""
    ports = iter(free_ports(8))
    return lambda: f"127.0.0.1:{next(ports)}"
