"""Reflection of `package inference` without registering it.

Our messages are in `package understudy.oip`, because a client library in the same process may
register the standard package. But tools that query this server, such as grpcurl, must see the
standard names, so a separate pool holds a copy of our file under the standard package, with the
service, and the files of the other services.
"""

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from understudy.oip import inference_pb2
from understudy.runtime import serving

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


def add_reflection(server: grpc.aio.Server) -> None:
    """Add reflection for the protocol under its standard names, and for health."""
    names = (SERVICE, *_services_of(health_pb2), *_services_of(reflection_pb2))
    serving.add_reflection(server, names, inference_pool())


def inference_pool() -> descriptor_pool.DescriptorPool:
    """Return a pool in which the protocol has its standard names."""
    pool = descriptor_pool.DescriptorPool()
    for module in (health_pb2, reflection_pb2):
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(_standard_file().SerializeToString())
    return pool


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


def _services_of(module: object) -> tuple[str, ...]:
    descriptor = module.DESCRIPTOR  # type: ignore[attr-defined]  # every generated module has it
    return tuple(each.full_name for each in descriptor.services_by_name.values())
