"""Every RPC of every service names the fault of a request in the same details."""

from pathlib import Path

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from tests.rpcs.served_rpcs import NOT_OFFERED, ServedRpc, open_every_rpc
from understudy.control.identity import ACTOR_KEY
from understudy.oip import inference_pb2 as oip
from understudy.runtime.error_details import DETAILS_KEY, DOMAIN
from understudy.scoring.v1 import scoring_pb2

NO_MESSAGE = b"\x0a\x05abc"
_LIMIT_S = 60.0


async def test_every_rpc_answers_bytes_that_are_no_message_with_the_same_details(
    tmp_path: Path,
) -> None:
    async with open_every_rpc(tmp_path) as rpcs:
        for rpc in rpcs:
            if rpc.path == NOT_OFFERED:
                continue
            told = await _told(rpc)

            assert told == ("INVALID_INPUT", [rpc.method.input_type.name]), rpc.path


async def _told(rpc: ServedRpc) -> tuple[str, list[str]]:
    """Return the reason and the faulty fields of the failure."""
    call = rpc.call([NO_MESSAGE], timeout=_LIMIT_S, metadata=((ACTOR_KEY, "tests"),))
    if rpc.method.name == "ScoreStream":
        error = scoring_pb2.ScoreStreamResponse.FromString(await call.read()).error
        return error.reason, [each.field for each in error.field_violations]
    if rpc.method.name == "ModelStreamInfer":  # its protocol has no place for fields
        answer = oip.ModelStreamInferResponse.FromString(await call.read())
        reason = answer.infer_response.parameters["reason"].string_param
        return reason, [answer.error_message.partition(":")[0]]
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await (call.read() if rpc.method.server_streaming else call)
    trailers = dict(failed.value.trailing_metadata() or ())
    status = status_pb2.Status.FromString(trailers[DETAILS_KEY])
    info, request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    assert any(each.Unpack(info) for each in status.details)
    assert any(each.Unpack(request) for each in status.details)
    assert (info.domain, status.message) == (DOMAIN, failed.value.details())
    return info.reason, [each.field for each in request.field_violations]
