"""The floor under the scorer: a grpc.aio server that answers each ModelInfer with one message.

`python -m benchmarks.scorer_floor LISTEN RESPONSE_FILE`.
"""

import sys
from pathlib import Path
from typing import Any

import grpc

from understudy.oip import inference_pb2 as pb
from understudy.runtime.front.grpc_server import new_server
from understudy.runtime.lifecycle import DrainTimes, run, serve_until_stopped, stop_on_signals
from understudy.runtime.serving import add_health_and_reflection
from understudy.runtime.transport.transport import LOCAL

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


async def serve(listen: str, response: pb.ModelInferResponse) -> int:
    server = new_server()
    server.add_generic_rpc_handlers((no_op(response),))
    health = add_health_and_reflection(server, ())
    LOCAL.bind(server, listen)
    await serve_until_stopped(
        server, health, stop_on_signals(longest_s=10.0), DrainTimes(unready_delay_s=0, grace_s=1)
    )
    return 0


if __name__ == "__main__":
    prepared = pb.ModelInferResponse.FromString(Path(sys.argv[2]).read_bytes())
    sys.exit(run(lambda: serve(sys.argv[1], prepared)))
