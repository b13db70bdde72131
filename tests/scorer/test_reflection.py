"""Reflection as used by a tool: find the standard names, build messages from them, call."""

import asyncio
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from tests.scorer.conftest import StartScorer
from understudy.inference.reflection import RPCS, SERVICE, inference_pool


def test_the_standard_package_is_not_registered_in_this_process() -> None:
    inference_pool()

    with pytest.raises(KeyError):
        descriptor_pool.Default().FindMessageTypeByName("inference.ModelInferRequest")


def call_by_reflection(address: str) -> tuple[list[str], bytes]:
    """Call as grpcurl does, without a .proto file, only from the server's descriptions."""
    with grpc.insecure_channel(address) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        services = list(database.get_services())
        pool = DescriptorPool(database)
        method = pool.FindServiceByName(SERVICE).methods_by_name["ModelInfer"]
        request: Any = message_factory.GetMessageClass(method.input_type)()
        request.model_name = "doubler"
        request.inputs.add(name="X", datatype="FP32", shape=[1, 3]).contents.fp32_contents.extend(
            [1, 2, 3]
        )
        call: Any = channel.unary_unary(
            f"/{SERVICE}/ModelInfer",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=message_factory.GetMessageClass(method.output_type).FromString,
        )
        answer: bytes = call(request, timeout=60).raw_output_contents[0]
        streamed = pool.FindServiceByName(SERVICE).methods_by_name["ModelStreamInfer"]
        assert streamed.client_streaming
        assert streamed.server_streaming
        assert streamed.input_type.name == "ModelInferRequest"
        assert not method.client_streaming
        assert set(RPCS) == set(pool.FindServiceByName(SERVICE).methods_by_name)
        return services, answer


async def test_a_tool_without_proto_files_can_list_describe_and_call(
    start_scorer: StartScorer, artifact: Path
) -> None:
    scorer = await start_scorer(artifact)

    services, answer = await asyncio.to_thread(call_by_reflection, scorer.address)

    assert SERVICE in services
    assert "grpc.health.v1.Health" in services
    assert np.frombuffer(answer, np.float32).tolist() == [2, 4, 6]
