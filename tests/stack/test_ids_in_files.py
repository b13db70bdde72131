"""No file of a stack contains an id or a text that a caller sent, and an analyst finds it anyway."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import grpc
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from stack.processes import Stack
from tests.stack.deployed import open_deployed
from understudy.client.async_scoring_client import AsyncScoringClient
from understudy.comparison.cli.commands import app
from understudy.logs.reader import open_logs

pytestmark = pytest.mark.long
ENTITY, CANDIDATE, UNIT_KEY, TEXT = (f"canary-{kind}" for kind in ("entity", "candidate", "u", "t"))
REQUEST_ID = "findable-request"  # request ids are written: they join logs, answers and outcomes


async def send_canaries(address: str) -> None:
    """Send ids in calls that are answered, degraded and refused."""
    async with AsyncScoringClient(address, timeout_s=60.0) as client:
        await client.score("cancer", {"patient": ENTITY}, request_id=REQUEST_ID)
        await client.score("cancer", {"patient": ENTITY}, unit_key=UNIT_KEY)
        await client.score_batch(
            "cancer", [CANDIDATE, f"{CANDIDATE}-2"], candidate_entity="patient", unit_key=UNIT_KEY
        )
        refused = (
            client.score("cancer", {"patient": ENTITY}, features={"worst_radius": TEXT}),
            client.score("no_such_model", {"patient": ENTITY}, unit_key=UNIT_KEY),
            client.score("cancer", {ENTITY: ENTITY}, features={TEXT: TEXT}),
        )
        for call in refused:
            with pytest.raises(grpc.RpcError):
                await call


def contents(root: Path) -> Iterator[tuple[Path, bytes]]:
    """Yield the content of each file, decoded if it is compressed."""
    for path in root.rglob("*"):
        if path.is_file():
            yield path, path.read_bytes()
        if path.suffix == ".parquet":
            table = pq.ParquetFile(path).read()
            yield path, f"{table.schema.metadata}{table.to_pylist()}".encode()


def logged_as(stack: Stack, given: str) -> tuple[str, str]:
    """Return an id as `understudy shadow digest` shows it, and the id of the key."""
    arguments = ["digest", given, "--log-key-file", str(stack.directory.log_key)]
    shown = CliRunner().invoke(app, [*arguments, "--output", "json"], catch_exceptions=False)
    found = json.loads(shown.stdout)
    return found["ids"][0]["logged_as"], found["log_key_id"]


async def test_no_file_of_a_stack_contains_the_ids_of_callers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROUTER_REQUEST_LINES", "all")
    for level in ("ROUTER_LOG_LEVEL", "REGISTRY_LOG_LEVEL", "SCORER_HOST_LOG_LEVEL"):
        monkeypatch.setenv(level, "debug")
    async with open_deployed(tmp_path / "s", versions=1) as deployed:
        stack = deployed.stack
        await send_canaries(stack.addresses.router)

    found = await asyncio.to_thread(lambda: list(contents(tmp_path)))

    with_ids = [path for path, content in found if b"canary" in content]
    assert with_ids == []
    with_request_id = [path for path, content in found if REQUEST_ID.encode() in content]
    assert {path.suffix for path in with_request_id} == {".log", ".parquet"}
    assert stack.directory.log_key.stat().st_mode & 0o777 == 0o600
    key_ids = set()
    with open_logs(stack.directory.logs) as logs:
        for column, given, rows in (
            ("unit_key", ENTITY, 1),
            ("unit_key", UNIT_KEY, 3),
            ("candidate_id", CANDIDATE, 1),
        ):
            digest, key_id = logged_as(stack, given)
            key_ids.add(key_id)
            query = f"SELECT count(*) AS n FROM score WHERE {column} = $digest"  # noqa: S608 - ours
            assert logs.rows(query, {"digest": digest}) == [{"n": rows}], given
    for path in stack.directory.logs.rglob("*.parquet"):
        assert pq.read_schema(path).metadata[b"log_key_id"].decode() in key_ids
