"""The floor: a grpc.aio server on uvloop that answers each Score with one prepared response.

It does only what a Python gRPC server cannot avoid: receive the message, pass it to a coroutine,
and send a message of the same size as the router's. `python -m benchmarks.floor LISTEN RESPONSE_FILE`;
without a file it answers every method with no bytes, and reads none.
"""

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc

from understudy.runtime.front.grpc_server import open_server
from understudy.runtime.lifecycle import DrainTimes, run, serve_until_stopped, stop_on_signals
from understudy.runtime.serving import add_health_and_reflection
from understudy.runtime.transport.transport import LOCAL
from understudy.scoring.v1 import scoring_pb2

_AS_LARGE_AS_A_SCORE = b"\x7a\x50" + bytes(80)  # field 15, unknown: a message of any kind
SERVICE = "understudy.scoring.v1.ScoringService"


def no_op(response: scoring_pb2.ScoreResponse) -> grpc.GenericRpcHandler:
    """Return a Score method that always answers with `response`, as a message."""

    async def score(
        _request: scoring_pb2.ScoreRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> scoring_pb2.ScoreResponse:
        return response

    handler = grpc.unary_unary_rpc_method_handler(
        score,
        request_deserializer=scoring_pb2.ScoreRequest.FromString,
        response_serializer=scoring_pb2.ScoreResponse.SerializeToString,
    )
    return grpc.method_handlers_generic_handler(SERVICE, {"Score": handler})


class Unread(grpc.GenericRpcHandler):
    """Answers each message without reading it; one of a stream with as many bytes as a score has."""

    def service(self, call: grpc.HandlerCallDetails) -> Any:
        async def answer(_received: bytes, _context: Any) -> bytes:
            return b""

        async def answer_each(
            received: AsyncIterator[bytes], _context: Any
        ) -> AsyncIterator[bytes]:
            async for _ in received:
                yield _AS_LARGE_AS_A_SCORE

        if str(call.method).endswith("Stream"):
            return grpc.stream_stream_rpc_method_handler(answer_each)
        return grpc.unary_unary_rpc_method_handler(answer)


async def serve(listen: str, handler: grpc.GenericRpcHandler) -> int:
    """Serve `handler` until a signal; return the exit code."""
    async with open_server() as server:
        health = add_health_and_reflection(server, (SERVICE,))
        server.add_generic_rpc_handlers((handler,))  # the last: it may answer every method
        LOCAL.bind(server, listen)
        await serve_until_stopped(
            server,
            health,
            stop_on_signals(longest_s=10.0),
            DrainTimes(unready_delay_s=0, grace_s=1),
        )
    return 0


if __name__ == "__main__":
    address, *files = sys.argv[1:]
    prepared = [no_op(scoring_pb2.ScoreResponse.FromString(Path(p).read_bytes())) for p in files]
    sys.exit(run(lambda: serve(address, prepared[0] if prepared else Unread())))
