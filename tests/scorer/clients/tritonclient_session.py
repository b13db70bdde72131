"""A session of a tritonclient user, run in .venv-clients. Prints the results as JSON.

Usage: tritonclient_session.py TARGET MODEL, where the model doubles X of shape [-1, 3].
"""

import json
import queue
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from google.protobuf.json_format import MessageToDict

target, model = sys.argv[1:]
seen: dict[str, object] = {}
rows = np.arange(6, dtype=np.float32).reshape(2, 3)


def input_of(array: np.ndarray, name: str = "X", datatype: str = "FP32") -> triton.InferInput:
    tensor = triton.InferInput(name, list(array.shape), datatype)
    tensor.set_data_from_numpy(array)
    return tensor


def failure(call: Callable[[], object]) -> list[str]:
    try:
        call()
    except triton.InferenceServerException as error:
        return [error.status(), error.message()]
    return ["none", ""]


with triton.InferenceServerClient(target) as client:
    seen["server_live"] = client.is_server_live()
    seen["server_ready"] = client.is_server_ready()
    seen["model_ready"] = client.is_model_ready(model)
    seen["version_ready"] = client.is_model_ready(model, "1")
    seen["server_metadata"] = MessageToDict(client.get_server_metadata())
    seen["model_metadata"] = MessageToDict(client.get_model_metadata(model))

    result = client.infer(model, [input_of(rows)], request_id="r1", client_timeout=60.0)
    seen["doubled"] = result.as_numpy("Y").tolist()
    seen["id"] = result.get_response().id
    seen["version"] = result.get_response().model_version

    chosen = client.infer(
        model, [input_of(rows)], model_version="1", outputs=[triton.InferRequestedOutput("Y")]
    )
    seen["chosen"] = chosen.as_numpy("Y").tolist()

    answers: queue.Queue[Any] = queue.Queue()
    client.async_infer(model, [input_of(rows)], lambda result, error: answers.put((result, error)))
    result, error = answers.get(timeout=60)
    seen["async"] = [None if error is None else str(error), result.as_numpy("Y").tolist()]

    client.start_stream(lambda result, error: answers.put((result, error)))
    client.async_stream_infer(model, [input_of(rows)], request_id="s1", timeout=60_000_000)
    client.async_stream_infer(model, [input_of(rows, "Z")], request_id="s2")
    client.async_stream_infer(model, [input_of(rows)], request_id="s3")
    streamed = [answers.get(timeout=60) for _ in range(3)]
    client.stop_stream()
    seen["streamed"] = [
        [result.get_response().id, result.as_numpy("Y").tolist()] if error is None else str(error)
        for result, error in streamed
    ]

    compressed = client.infer(model, [input_of(rows)], compression_algorithm="gzip")
    seen["compressed"] = compressed.as_numpy("Y").tolist()

    seen["unknown_model"] = failure(lambda: client.infer("nobody", [input_of(rows)]))
    seen["unknown_version"] = failure(lambda: client.infer(model, [input_of(rows)], "7"))
    seen["unknown_input"] = failure(lambda: client.infer(model, [input_of(rows, "Z")]))
    seen["wrong_dtype"] = failure(
        lambda: client.infer(model, [input_of(rows.astype(np.float64), datatype="FP64")])
    )
    seen["wrong_shape"] = failure(lambda: client.infer(model, [input_of(rows[:, :2])]))
    seen["repository"] = failure(client.get_model_repository_index)
    seen["classification"] = failure(
        lambda: client.infer(
            model, [input_of(rows)], outputs=[triton.InferRequestedOutput("Y", class_count=2)]
        )
    )


async def with_asyncio() -> Any:
    async with triton_aio.InferenceServerClient(target) as client:
        assert await client.is_model_ready(model)
        result = await client.infer(model, [input_of(rows)])

        async def requests() -> Any:
            yield {"model_name": model, "inputs": [input_of(rows)]}

        async for streamed, error in client.stream_infer(requests()):
            assert error is None
            assert streamed.as_numpy("Y").tolist() == result.as_numpy("Y").tolist()
        return result.as_numpy("Y").tolist()


import asyncio  # noqa: E402 - the synchronous part above is independent

seen["asyncio"] = asyncio.run(with_asyncio())
json.dump(seen, sys.stdout)
