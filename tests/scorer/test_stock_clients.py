"""Stock clients, unchanged, in their own environment, against a real scorer."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.scorer.conftest import RunningProcess, StartScorer

_CLIENTS = Path(__file__).resolve().parents[2] / ".venv-clients" / "bin" / "python"
_SCRIPTS = Path(__file__).parent / "clients"
_WITHIN_S = 120.0
DOUBLED = [[0.0, 2.0, 4.0], [6.0, 8.0, 10.0]]


async def session(script: str, scorer: RunningProcess) -> dict[str, Any]:
    """Run a client script against `scorer`; return its output."""
    if not _CLIENTS.exists():
        pytest.fail("the stock clients are not installed: run `make clients`")
    process = await asyncio.create_subprocess_exec(
        *(_CLIENTS, _SCRIPTS / script, scorer.address, "doubler"), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await asyncio.wait_for(process.communicate(), _WITHIN_S)
    assert process.returncode == 0
    seen: dict[str, Any] = json.loads(output)
    return seen


async def test_tritonclient_works_unchanged(start_scorer: StartScorer, artifact: Path) -> None:
    seen = await session("tritonclient_session.py", await start_scorer(artifact))

    for question in ("server_live", "server_ready", "model_ready", "version_ready"):
        assert seen[question] is True, question
    assert seen["server_metadata"]["name"] == "understudy"
    assert seen["model_metadata"] == {
        "name": "doubler",
        "versions": ["1"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "X", "datatype": "FP32", "shape": ["-1", "3"]}],
        "outputs": [{"name": "Y", "datatype": "FP32", "shape": ["-1", "3"]}],
    }
    for kind in ("doubled", "chosen", "compressed", "asyncio"):
        assert seen[kind] == DOUBLED, kind
    assert seen["async"] == [None, DOUBLED]
    assert (seen["id"], seen["version"]) == ("r1", "1")
    first, refused, last = seen["streamed"]
    assert (first, last) == (["s1", DOUBLED], ["s3", DOUBLED])
    assert "'Z'" in refused


async def test_tritonclient_gets_statuses_and_messages_that_name_the_fault(
    start_scorer: StartScorer, artifact: Path
) -> None:
    seen = await session("tritonclient_session.py", await start_scorer(artifact))

    for case, status, *words in (
        ("unknown_model", "StatusCode.NOT_FOUND", "nobody"),
        ("unknown_version", "StatusCode.NOT_FOUND", "doubler@7"),
        ("unknown_input", "StatusCode.INVALID_ARGUMENT", "'Z'", "X"),
        ("wrong_dtype", "StatusCode.INVALID_ARGUMENT", "'X'", "FP64", "FP32"),
        ("wrong_shape", "StatusCode.INVALID_ARGUMENT", "'X'", "[2, 2]", "[-1, 3]"),
        ("repository", "StatusCode.UNIMPLEMENTED"),
        ("classification", "StatusCode.INVALID_ARGUMENT", "classification"),
    ):
        assert seen[case][0] == status, seen[case]
        for word in words:
            assert word in seen[case][1]


async def test_kserve_works_unchanged(start_scorer: StartScorer, artifact: Path) -> None:
    seen = await session("kserve_session.py", await start_scorer(artifact))

    for question in ("server_live", "server_ready", "model_ready"):
        assert seen[question] is True, question
    assert seen["raw"] == DOUBLED
    assert seen["typed"] == DOUBLED
    assert seen["id"] == "r1"
    assert seen["unknown_model"][0] == "NOT_FOUND"
