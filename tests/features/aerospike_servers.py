"""Servers for the tests of the Aerospike adapter: the node in this process, and a real one.

UNDERSTUDY_TEST_AEROSPIKE=host:port/namespace names the real server; its namespace
needs `nsup-period` above 0 and the default `max-record-size`.
"""

import os
from dataclasses import dataclass
from typing import Any

from understudy.domain.features import FeatureView
from understudy.features.adapters.aerospike_client import AerospikeOptions
from understudy.features.adapters.aerospike_store import AerospikeStore
from understudy.features.adapters.aerospike_writer import AerospikeWriter
from understudy.features.ports import ViewRead

REAL_SERVER = os.environ.get("UNDERSTUDY_TEST_AEROSPIKE", "")
WAIT_S = 60.0


@dataclass
class Server:
    """A server with our reader and writer, and another tool's client."""

    options: AerospikeOptions
    reader: AerospikeStore
    writer: AerospikeWriter
    client: Any

    def key(self, set_name: str, entity_id: str | int) -> tuple[str, str, str | int]:
        return (self.options.namespace, set_name, entity_id)

    async def find(self, view: FeatureView, *ids: str | None) -> list[bytes | None]:
        (records,) = await self.reader.read([ViewRead(view, ids)], timeout_s=WAIT_S)
        return records


def patient_options(host: str, port: int, namespace: str) -> AerospikeOptions:
    """Return options with long limits: the tests are about answers, not about speed."""
    return AerospikeOptions(
        ((host, port),),
        namespace,
        connect_timeout_ms=10_000,
        write_timeout_ms=60_000,
    )
