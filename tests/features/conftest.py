"""Fixtures for the tests of features."""

import re
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ProcessPoolExecutor
from uuid import uuid4

import aerospike
import pytest

from tests.features.aerospike_node import running_node
from tests.features.aerospike_servers import REAL_SERVER, Server, patient_options
from tests.features.builders import NOW_S
from tests.features.loading_process import start_loading_process
from understudy.features.adapters.aerospike_client import AerospikeOptions
from understudy.features.adapters.aerospike_store import AerospikeStore
from understudy.features.adapters.aerospike_writer import AerospikeWriter


@pytest.fixture(scope="session")
def loading_process() -> Iterator[ProcessPoolExecutor]:
    with start_loading_process() as process:
        yield process


@pytest.fixture(params=["node", *(["real"] if REAL_SERVER else [])])
def options(request: pytest.FixtureRequest) -> Iterator[AerospikeOptions]:
    if request.param == "real":
        found = re.fullmatch(r"(.+):(\d+)/(.+)", REAL_SERVER)
        assert found is not None, REAL_SERVER
        yield patient_options(found[1], int(found[2]), found[3])
        return
    with running_node() as node:
        yield patient_options("127.0.0.1", node.port, node.namespace)


@pytest.fixture
async def server(options: AerospikeOptions) -> AsyncIterator[Server]:
    opened = Server(
        options,
        AerospikeStore(options, now_s=lambda: NOW_S),
        AerospikeWriter(options),
        aerospike.client({"hosts": list(options.hosts), "connect_timeout": 10_000}),
    )
    yield opened
    opened.client.close()
    opened.writer.close_now()
    await opened.reader.close()


@pytest.fixture
def name() -> str:
    """Return a name that no other test uses, because all tests may share a server."""
    return f"v{uuid4().hex[:12]}"
