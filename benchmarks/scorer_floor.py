"""The floor under the scorer: a grpc.aio server that answers each ModelInfer with one message.

`python -m benchmarks.scorer_floor LISTEN RESPONSE_FILE`.
"""

import sys
from pathlib import Path
from typing import Any

import grpc

from benchmarks.floor import serve
from understudy.oip import inference_pb2 as pb
from understudy.runtime.lifecycle import run

SERVICE = "inference.GRPCInferenceService"


def no_op(response: pb.ModelInferResponse) -> grpc.GenericRpcHandler:
    """Return a ModelInfer method that always answers with `response`, as a message."""

    async def infer(
        _request: pb.ModelInferRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.ModelInferResponse:
        return response

    handler = grpc.unary_unary_rpc_method_handler(
        infer,
        request_deserializer=pb.ModelInferRequest.FromString,
        response_serializer=pb.ModelInferResponse.SerializeToString,
    )
    return grpc.method_handlers_generic_handler(SERVICE, {"ModelInfer": handler})


if __name__ == "__main__":
    prepared = pb.ModelInferResponse.FromString(Path(sys.argv[2]).read_bytes())
    sys.exit(run(lambda: serve(sys.argv[1], no_op(prepared))))
