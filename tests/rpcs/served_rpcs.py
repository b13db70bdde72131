"""Every service of every process, in the test's own process, and its RPCs as reflection lists them."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha import reflection_pb2 as pb
from grpc_reflection.v1alpha import reflection_pb2_grpc

from router.edge.admin_service import SERVICE as ADMIN
from router.edge.admin_service import RouterAdminService, add_router_admin
from router.edge.log_books import LogBooks
from tests.artifact.models import doubling_model
from tests.registry.operator import running_registry
from tests.router.served import open_served
from tests.router.world import World
from tests.scorer.serving import open_service
from understudy.control.belief import Belief
from understudy.logs.writer import LogWriter
from understudy.runtime.front.grpc_server import open_server, started
from understudy.runtime.serving import add_health_and_reflection
from understudy.runtime.transport.transport import LOCAL

NOT_OFFERED = "/grpc.health.v1.Health/List"  # in their protocol, and in no servicer of ours


@dataclass(frozen=True)
class ServedRpc:
    """One RPC and the channel on which it is served."""

    channel: grpc.aio.Channel
    method: MethodDescriptor

    @property
    def path(self) -> str:
        return f"/{self.method.containing_service.full_name}/{self.method.name}"

    def call(self, requests: list[bytes], **options: Any) -> Any:
        """Call it with raw bytes; without client streaming only the first request is sent."""
        opened = getattr(self.channel, _SHAPES[_shape_of(self.method)])(self.path)
        return opened(_each(requests) if self.method.client_streaming else requests[0], **options)


_SHAPES = {
    (False, False): "unary_unary",
    (False, True): "unary_stream",
    (True, False): "stream_unary",
    (True, True): "stream_stream",
}


def _shape_of(method: MethodDescriptor) -> tuple[bool, bool]:
    return method.client_streaming, method.server_streaming


async def _each(requests: list[bytes]) -> AsyncIterator[bytes]:
    for request in requests:
        yield request


@asynccontextmanager
async def open_every_rpc(folder: Path) -> AsyncIterator[list[ServedRpc]]:
    """Serve all services of a router, its admin socket, a registry and a scorer."""
    async with AsyncExitStack() as resources:
        router = await resources.enter_async_context(open_served())
        registry = await resources.enter_async_context(running_registry(folder / "registry"))
        scorer = await resources.enter_async_context(
            open_service(doubling_model(folder / "doubler.onnx"), folder)
        )
        admin = await resources.enter_async_context(_open_admin(router.world, folder))
        channels = (router.channel, registry, scorer.channel, admin)
        yield [rpc for channel in channels for rpc in await rpcs_of(channel)]


@asynccontextmanager
async def _open_admin(world: World, folder: Path) -> AsyncIterator[grpc.aio.Channel]:
    async with open_server() as server:
        with LogWriter(folder / "logs") as logs:
            add_router_admin(
                RouterAdminService("r", world.pipeline, LogBooks(logs), tuple, Belief()), server
            )
            add_health_and_reflection(server, (ADMIN,))
            address = f"unix:{folder / 'admin.sock'}"
            LOCAL.bind(server, address)
            async with started(server), grpc.aio.insecure_channel(address) as channel:
                yield channel


async def rpcs_of(channel: grpc.aio.Channel) -> list[ServedRpc]:
    """Return all RPCs of the services that reflection lists."""
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)  # type: ignore[arg-type]  # stubs know the synchronous channel only
    ask = stub.ServerReflectionInfo
    listed = await _answer(ask, pb.ServerReflectionRequest(list_services=""))
    pool = DescriptorPool()
    added: set[str] = set()
    found: list[ServedRpc] = []
    for service in listed.list_services_response.service:
        request = pb.ServerReflectionRequest(file_containing_symbol=service.name)
        files = (await _answer(ask, request)).file_descriptor_response.file_descriptor_proto
        _add(pool, added, [descriptor_pb2.FileDescriptorProto.FromString(each) for each in files])
        methods = pool.FindServiceByName(service.name).methods
        found += [ServedRpc(channel, method) for method in methods]
    return found


def _add(
    pool: DescriptorPool, added: set[str], files: list[descriptor_pb2.FileDescriptorProto]
) -> None:
    """Add `files`, each after the files that it imports."""
    waiting = [each for each in files if each.name not in added]
    while waiting:
        file = next(each for each in waiting if added.issuperset(each.dependency))
        pool.Add(file)
        added.add(file.name)
        waiting.remove(file)


async def _answer(ask: Any, request: pb.ServerReflectionRequest) -> pb.ServerReflectionResponse:
    async def once() -> AsyncIterator[pb.ServerReflectionRequest]:
        yield request

    call = ask(once())
    response: pb.ServerReflectionResponse = await call.read()
    call.cancel()
    return response
