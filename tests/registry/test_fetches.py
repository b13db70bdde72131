"""Fetches of artifact files: the seats for them."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import grpc
import pytest

from registry.settings import RegistrySettings
from scorer.host.artifact_cache import MOST_FETCHES
from tests.registry.operator import LIMIT_S, Operator, failure_of, running_registry
from tests.stack.waiting import until
from understudy.registry.v1 import registry_pb2 as pb

Status = grpc.StatusCode
CONTENT = bytes(8 << 20)  # more than gRPC takes from a writer whose reader does not read


def stored_file(directory: Path) -> str:
    """Store a large file in a registry that serves `directory`; return its digest."""
    digest = sha256(CONTENT).hexdigest()
    path = directory / "artifacts" / "sha256" / digest[:2] / digest
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    return digest


async def begun_fetch(operator: Operator, digest: str) -> Any:
    """Return a fetch that holds a seat, and of which one piece is read."""
    call = operator.stub.FetchArtifactFile(
        pb.FetchArtifactFileRequest(sha256=digest), timeout=LIMIT_S
    )
    assert await call.read() is not grpc.aio.EOF
    return call


@pytest.mark.parametrize("limits", [{"max_fetches": 1}, {"max_fetches_per_peer": 1}])
async def test_fetches_above_the_seats_are_refused_until_one_ends(
    tmp_path: Path, limits: dict[str, int]
) -> None:
    async with running_registry(tmp_path, **limits) as channel:
        operator = Operator(channel)
        digest = stored_file(tmp_path)
        first = await begun_fetch(operator, digest)

        error = await failure_of(operator.fetch(digest))

        assert error.code() is Status.RESOURCE_EXHAUSTED
        assert "fetches of artifact files" in str(error.details())
        first.cancel()

        async def is_served() -> bool:
            try:
                return await operator.fetch(digest) == CONTENT
            except grpc.aio.AioRpcError:  # the end of the first one has not arrived yet
                return False

        await until(is_served)


def test_the_default_seats_hold_the_documented_fleet() -> None:
    seats = RegistrySettings(unproven=True, dir="d").fetch_seats

    assert seats.per_peer >= 2 * MOST_FETCHES
    assert seats.total >= (32 + 1) * MOST_FETCHES
