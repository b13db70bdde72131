"""Uploads of artifacts: incomplete, too long, too many, cancelled."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from registry.decisions.upload_pace import PaceLimits
from registry.server.receive_artifact import PacedParts
from tests.registry.operator import (
    LIMIT_S,
    Operator,
    failure_of,
    files_below,
    registration_parts,
    running_registry,
)
from tests.registry.samples import ACTOR, new_version
from tests.virtual_time import skip, turns
from understudy.domain.errors import DeadlinePassedError
from understudy.registry.v1 import registry_pb2 as pb

Status = grpc.StatusCode
MOMENT_S, HOUR_S = 0.001, 3_600.0


@pytest.mark.parametrize("keep", [1, 2])
async def test_a_truncated_upload_leaves_nothing(
    operator: Operator, tmp_path: Path, keep: int
) -> None:
    parts = list(registration_parts(new_version()))[:keep]
    call = operator.stub.RegisterVersion(iter(parts), metadata=(("understudy-actor", ACTOR),))

    error = await failure_of(call)

    assert error.code() is Status.INVALID_ARGUMENT
    assert "bytes, as announced" in str(error.details())
    assert files_below(tmp_path / "artifacts") == []


async def test_more_bytes_than_announced_are_refused(operator: Operator) -> None:
    parts = [*registration_parts(new_version()), pb.RegisterVersionRequest(chunk=b"more")]
    call = operator.stub.RegisterVersion(iter(parts), metadata=(("understudy-actor", ACTOR),))

    assert (await failure_of(call)).code() is Status.INVALID_ARGUMENT


@pytest.mark.parametrize("path", ["../model.onnx", "/model.onnx", "a//b", "", "model.onnx/.."])
async def test_paths_that_leave_the_artifact_are_refused(operator: Operator, path: str) -> None:
    first, *rest = registration_parts(new_version())
    first.registration.files[0].path = path
    call = operator.stub.RegisterVersion(
        iter([first, *rest]), metadata=(("understudy-actor", ACTOR),)
    )

    error = await failure_of(call)

    assert error.code() is Status.INVALID_ARGUMENT
    assert "files[0].path" in str(error.details())


async def test_an_artifact_beyond_the_limits_is_refused(tmp_path: Path) -> None:
    async with running_registry(tmp_path, max_artifact_bytes=1000) as channel:
        error = await failure_of(Operator(channel).register(new_version()))

    assert error.code() is Status.INVALID_ARGUMENT
    assert "at most 1000" in str(error.details())


async def test_concurrent_uploads_are_bounded(tmp_path: Path) -> None:
    async with running_registry(tmp_path, max_uploads=1) as channel:
        operator = Operator(channel)
        first, *rest = registration_parts(new_version())
        others_may_go, received = asyncio.Event(), asyncio.Event()

        async def slow_upload() -> AsyncIterator[pb.RegisterVersionRequest]:
            yield first
            received.set()
            await others_may_go.wait()
            for part in rest:
                yield part

        held = operator.stub.RegisterVersion(
            slow_upload(), metadata=(("understudy-actor", ACTOR),), timeout=LIMIT_S
        )
        await asyncio.wait_for(received.wait(), LIMIT_S)
        refused = await failure_of(operator.register(new_version()))
        others_may_go.set()

        assert refused.code() is Status.RESOURCE_EXHAUSTED
        assert (await held).version.ref.number == 1
        again = await operator.register(new_version())
        assert (again.version.ref.number, again.already_registered) == (1, True)


@pytest.mark.fault
async def test_a_cancelled_upload_leaves_nothing(tmp_path: Path) -> None:
    async with running_registry(tmp_path, max_uploads=1) as channel:
        operator = Operator(channel)
        first, *_ = registration_parts(new_version())
        received = asyncio.Event()

        async def broken_upload() -> AsyncIterator[pb.RegisterVersionRequest]:
            yield first
            received.set()
            await asyncio.Event().wait()

        call = operator.stub.RegisterVersion(
            broken_upload(), metadata=(("understudy-actor", ACTOR),), timeout=LIMIT_S
        )
        await asyncio.wait_for(received.wait(), LIMIT_S)
        call.cancel()

        # The only slot is free again once the registry has noticed.
        async with asyncio.timeout(LIMIT_S):
            while not await register_if_room(operator):
                pass

    stored = files_below(tmp_path / "artifacts")
    assert {path.parent.parent.name for path in stored} == {"sha256"}
    assert not list((tmp_path / "artifacts" / "staging").glob("*/*"))


async def register_if_room(operator: Operator) -> bool:
    try:
        return (await operator.register(new_version())).report.complete
    except grpc.aio.AioRpcError:
        return False


@pytest.mark.fault
@pytest.mark.stopped_clock
@pytest.mark.parametrize("sent", [0, 1, 2])
async def test_a_silent_upload_frees_its_slot(tmp_path: Path, sent: int) -> None:
    async with running_registry(
        tmp_path, max_uploads=1, upload_period_s=MOMENT_S, upload_timeout_s=HOUR_S
    ) as channel:
        operator = Operator(channel)
        parts = list(registration_parts(new_version()))

        async def silent_upload() -> AsyncIterator[pb.RegisterVersionRequest]:
            for part in parts[:sent]:
                yield part
            await asyncio.Event().wait()

        call = operator.stub.RegisterVersion(
            silent_upload(), metadata=(("understudy-actor", ACTOR),), timeout=LIMIT_S
        )
        while not call.done():  # whenever the registry begins to wait
            skip(MOMENT_S)
            await turns()
        error = await failure_of(call)

        assert error.code() is Status.DEADLINE_EXCEEDED
        assert "1048576 bytes of the upload in 0.001 s" in str(error.details())
        assert await register_if_room(operator)
    assert not list((tmp_path / "artifacts" / "staging").glob("*/*"))


@pytest.mark.fault
@pytest.mark.stopped_clock
async def test_an_upload_that_is_too_slow_is_ended(tmp_path: Path) -> None:
    async with running_registry(
        tmp_path, max_uploads=1, upload_timeout_s=MOMENT_S, upload_period_s=HOUR_S
    ) as channel:
        first, *_ = registration_parts(new_version())

        async def slow_upload() -> AsyncIterator[pb.RegisterVersionRequest]:
            yield first
            await asyncio.Event().wait()

        call = Operator(channel).stub.RegisterVersion(
            slow_upload(), metadata=(("understudy-actor", ACTOR),), timeout=LIMIT_S
        )
        while not call.done():
            skip(MOMENT_S)
            await turns()
        error = await failure_of(call)

    assert error.code() is Status.DEADLINE_EXCEEDED
    assert "the end of the upload" in str(error.details())


@pytest.mark.virtual_time
@pytest.mark.parametrize("chunk", [b"", b"x"])
async def test_a_trickling_upload_is_ended_as_a_silent_one(chunk: bytes) -> None:
    async def trickling() -> AsyncIterator[pb.RegisterVersionRequest]:
        while True:
            await asyncio.sleep(1.0)
            yield pb.RegisterVersionRequest(chunk=chunk)

    parts = PacedParts(trickling(), PaceLimits(period_s=30.0, period_bytes=1000))

    with pytest.raises(DeadlinePassedError, match="1000 bytes of the upload in 30 s"):
        await to_the_end(parts)

    assert asyncio.get_running_loop().time() == pytest.approx(30.0)


async def to_the_end(parts: PacedParts[Any]) -> None:
    while await parts.next_part():
        pass


async def test_one_address_leaves_seats_to_others(tmp_path: Path) -> None:
    async with running_registry(tmp_path, max_uploads=4, max_uploads_per_peer=1) as channel:
        operator = Operator(channel)
        received = asyncio.Event()

        async def endless_upload() -> AsyncIterator[pb.RegisterVersionRequest]:
            yield next(iter(registration_parts(new_version())))
            received.set()
            await asyncio.Event().wait()

        held = operator.stub.RegisterVersion(
            endless_upload(), metadata=(("understudy-actor", ACTOR),), timeout=LIMIT_S
        )
        await asyncio.wait_for(received.wait(), LIMIT_S)
        refused = await failure_of(operator.register(new_version()))
        held.cancel()

    assert refused.code() is Status.RESOURCE_EXHAUSTED
    assert "uploads from this address" in str(refused.details())
