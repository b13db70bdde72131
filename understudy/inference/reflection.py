"""Reflection of `package inference` without registering it.

Our messages are in `package understudy.oip`, because a client library in the same process may
register the standard package. But tools that query this server, such as grpcurl, must see the
standard names, so a separate pool holds a copy of our file under the standard package, with the
service, and the files of the other services.
"""

from collections.abc import Sequence
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import FileDescriptor, ServiceDescriptor
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from understudy.oip import inference_pb2
from understudy.runtime import serving
from understudy.runtime.front.port import Server

PACKAGE = "inference"
_SERVICE_NAME = "GRPCInferenceService"
SERVICE = f"{PACKAGE}.{_SERVICE_NAME}"
RPCS = {  # each with whether it streams in both directions
    "ServerLive": False,
    "ServerReady": False,
    "ModelReady": False,
    "ServerMetadata": False,
    "ModelMetadata": False,
    "ModelInfer": False,
    "ModelStreamInfer": True,
}


def add_reflection(server: Server, files: Sequence[FileDescriptor] = ()) -> None:
    """Add reflection for the protocol under its standard names, for health, and for `files`."""
    described: tuple[Any, ...] = (*files, health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR)
    names = [service.full_name for each in described for service in _services_of(each)]
    serving.add_reflection(server, (SERVICE, *names), inference_pool(described))


def inference_pool(files: Sequence[FileDescriptor] = ()) -> descriptor_pool.DescriptorPool:
    """Return a pool of `files` in which the protocol has its standard names."""
    pool = descriptor_pool.DescriptorPool()
    added: set[str] = set()
    for each in files:
        _add(pool, each, added)
    pool.AddSerializedFile(_standard_file().SerializeToString())
    return pool


def _add(pool: descriptor_pool.DescriptorPool, file: FileDescriptor, added: set[str]) -> None:
    """Add `file` after the files that it imports, each once."""
    if file.name not in added:
        added.add(file.name)
        for imported in file.dependencies:
            _add(pool, imported, added)
        pool.AddSerializedFile(file.serialized_pb)


def _standard_file() -> descriptor_pb2.FileDescriptorProto:
    own = inference_pb2.DESCRIPTOR
    # Types have full names inside the file, so the package is renamed in its descriptor.
    file = descriptor_pb2.FileDescriptorProto()
    own.CopyToProto(file)
    file.name = "grpc_service.proto"
    file.package = PACKAGE
    for message in file.message_type:
        _rename_types(message, f".{own.package}.", f".{PACKAGE}.")
    service = file.service.add(name=_SERVICE_NAME)
    for rpc, streams in RPCS.items():
        service.method.add(
            name=rpc,
            # A stream has the same requests as the unary call.
            input_type=f".{PACKAGE}.{rpc.replace('Stream', '')}Request",
            output_type=f".{PACKAGE}.{rpc}Response",
            client_streaming=streams,
            server_streaming=streams,
        )
    return file


def _rename_types(message: descriptor_pb2.DescriptorProto, old: str, new: str) -> None:
    for field in message.field:
        if field.type_name.startswith(old):
            field.type_name = new + field.type_name.removeprefix(old)
    for nested in message.nested_type:
        _rename_types(nested, old, new)


def _services_of(file: FileDescriptor) -> tuple[ServiceDescriptor, ...]:
    return tuple(file.services_by_name.values())
