"""The artifact that a scorer loaded, as the scorer itself reports it."""

import grpc

from understudy.artifact.digests import LOADED_DIGEST_PROPERTY
from understudy.domain.versions import VersionRef
from understudy.oip import inference_pb2 as pb
from understudy.runtime.transport.transport import Transport

_METHOD = "/inference.GRPCInferenceService/ModelMetadata"
_OPTIONS = (("grpc.use_local_subchannel_pool", 1),)  # a separate connection


async def loaded_digest(
    address: str, ref: VersionRef, transport: Transport, *, timeout_s: float
) -> str | None:
    """Return the digest that the scorer at `address` reports; None if it reports none."""
    request = pb.ModelMetadataRequest(name=ref.model, version=str(ref.number))
    async with transport.open_channel(address, _OPTIONS) as channel:
        ask: grpc.aio.UnaryUnaryMultiCallable[pb.ModelMetadataRequest, pb.ModelMetadataResponse] = (
            channel.unary_unary(
                _METHOD,
                request_serializer=pb.ModelMetadataRequest.SerializeToString,
                response_deserializer=pb.ModelMetadataResponse.FromString,
            )
        )
        try:
            answer = await ask(request, timeout=timeout_s)
        except grpc.aio.AioRpcError:
            return None
    return answer.properties.get(LOADED_DIGEST_PROPERTY)
