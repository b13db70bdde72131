"""A client in another language: grpc-js reads our protos, our answers and the details of errors."""

import json
import shutil
from pathlib import Path

import pytest
from google import rpc

from tests.protos.compiled import ROOT
from tests.protos.programs import output_of, require
from tests.router.served import open_served

SESSION = Path(__file__).parent / "node" / "session.js"
LIBRARIES = ("@grpc/grpc-js@1.14.7", "@grpc/proto-loader@0.8.0", "protobufjs@7.5.4")


@pytest.mark.long
async def test_a_node_client_scores_streams_and_reads_the_details_of_errors(
    tmp_path: Path,
) -> None:
    require("node", "npm")
    script = tmp_path / SESSION.name
    shutil.copyfile(SESSION, script)  # it finds the libraries beside itself
    await output_of(*("npm", "install", "--ignore-scripts", "--no-audit", *LIBRARIES), cwd=tmp_path)

    async with open_served() as served:
        address = f"127.0.0.1:{served.port}"
        google = Path(next(iter(rpc.__path__))).parents[1]
        told = await output_of("node", script, address, ROOT / "protos", google, cwd=tmp_path)

    seen = json.loads(told)
    fields = [each["field"] for each in seen.pop("fields")]
    assert fields == ["entities[user]"]
    assert round(seen.pop("score"), 3) in {25.001, 25.002}
    assert seen.pop("version") in {1, 2}
    assert seen == {
        "decision": "DECISION_BELOW",
        "code": 3,
        "reason": "INVALID_INPUT",
        "streamed": {"s1": "scored", "bad": "INVALID_INPUT", "s3": "scored"},
    }
