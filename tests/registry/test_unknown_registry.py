"""The channel by which routers and hosts follow a registry: only one of their authority is heard."""

from pathlib import Path

import grpc
import pytest

from tests.registry.callers import entry, proven_registry, token_of
from tests.runtime.transport.authorities import Authority
from understudy.control.registry_watch import open_registry_channel
from understudy.domain.identities import Role
from understudy.registry.v1 import registry_pb2 as pb
from understudy.registry.v1 import registry_pb2_grpc
from understudy.runtime.transport.tls_files import TlsFiles
from understudy.runtime.transport.transport import Transport

LIMIT_S = 60.0


async def first_status(target: str, authority: Path) -> grpc.StatusCode:
    """Return OK if a router that trusts `authority` is sent a state, or else the status."""
    access = Transport(TlsFiles(ca=authority), token=token_of("router"))
    async with open_registry_channel(target, access) as channel:
        stub = registry_pb2_grpc.RegistryServiceStub(channel)
        watch = stub.Watch(pb.WatchRequest(watcher="router"), timeout=LIMIT_S)
        try:
            async for message in watch:
                assert message.snapshot.lineage
                return grpc.StatusCode.OK
        except grpc.aio.AioRpcError as error:
            return error.code()
    raise AssertionError("the registry ended the stream")


@pytest.mark.fault
async def test_a_registry_of_another_authority_is_not_followed_and_gets_no_token(
    tmp_path: Path,
) -> None:
    stranger = Authority(tmp_path / "stranger").ca_file
    async with proven_registry(tmp_path, [entry("router", Role.ROUTER)]) as registry:
        known = await first_status(registry.target, registry.authority.ca_file)
        unknown = await first_status(registry.target, stranger)

    assert known is grpc.StatusCode.OK
    assert unknown is grpc.StatusCode.UNAVAILABLE
