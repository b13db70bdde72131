"""A registry over real files and real gRPC, one per test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.registry.operator import Operator, running_registry


@pytest.fixture
async def operator(tmp_path: Path) -> AsyncIterator[Operator]:
    async with running_registry(tmp_path) as channel:
        yield Operator(channel)
