"""A session of a user of kserve's gRPC client, run in .venv-clients. Prints JSON.

Usage: kserve_session.py TARGET MODEL, where the model doubles X of shape [-1, 3].
"""

import asyncio
import json
import sys

import grpc
import numpy as np
from kserve import InferenceGRPCClient, InferInput, InferRequest

target, model = sys.argv[1:]
rows = np.arange(6, dtype=np.float32).reshape(2, 3)


def request_of(array: np.ndarray, *, raw: bool, name: str = model) -> InferRequest:
    tensor = InferInput("X", list(array.shape), "FP32")
    tensor.set_data_from_numpy(array, binary_data=raw)
    return InferRequest(name, [tensor], request_id="r1")


async def main() -> dict[str, object]:
    seen: dict[str, object] = {}
    async with InferenceGRPCClient(target, timeout=60) as client:
        seen["server_live"] = await client.is_server_live()
        seen["server_ready"] = await client.is_server_ready()
        seen["model_ready"] = await client.is_model_ready(model)
        for kind, raw in (("raw", True), ("typed", False)):
            response = await client.infer(request_of(rows, raw=raw))
            seen[kind] = response.outputs[0].as_numpy().tolist()
            seen["id"] = response.id
        try:
            await client.infer(request_of(rows, raw=True, name="nobody"))
        except grpc.RpcError as error:
            seen["unknown_model"] = [error.code().name, error.details()]
    return seen


json.dump(asyncio.run(main()), sys.stdout)
