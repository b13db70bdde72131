"""Fixtures of the features' tests."""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import pytest

from tests.features.loading_process import start_loading_process


@pytest.fixture(scope="session")
def loading_process() -> Iterator[ProcessPoolExecutor]:
    with start_loading_process() as process:
        yield process
