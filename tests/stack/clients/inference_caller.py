"""A user of tritonclient or kserve who calls a router, run in .venv-clients.

Usage: inference_caller.py KIND TARGET MODEL ENTITY UNITS CALLS, with KIND triton, triton_async,
triton_aio, triton_stream or kserve, and UNITS separated by commas. It prints the number of ended
calls, a line each, until CALLS have ended or its input ends, and then the outcome as JSON.
"""

import asyncio
import json
import queue
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from functools import partial
from importlib import import_module
from itertools import cycle
from typing import Any

import numpy as np

kind, target, model, entity, listed, most = sys.argv[1:]
LIMIT_S = 60.0
is_over = threading.Event()
versions: Counter[str] = Counter()
failures: list[str] = []


def units() -> Iterator[str]:
    for unit, _ in zip(cycle(listed.split(",")), range(int(most)), strict=False):
        if is_over.is_set():
            return
        yield unit


def tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def texts(unit: str) -> np.ndarray:
    return np.array([[unit.encode()]], dtype=np.object_)


def keep(version: str, score: float) -> None:
    if not 0.0 <= score <= 1.0:
        failures.append(f"score {score}")
    versions[version] += 1
    tell(str(sum(versions.values())))


def keep_triton(result: Any) -> None:
    keep(result.get_response().model_version, float(result.as_numpy("score")[0, 0]))


def put(answers: queue.Queue[Any], result: Any, error: Any) -> None:
    answers.put((result, error))


def triton_input(module: Any, unit: str) -> Any:
    tensor = module.InferInput(entity, [1, 1], "BYTES")
    tensor.set_data_from_numpy(texts(unit))
    return tensor


def call_triton() -> None:
    triton: Any = import_module("tritonclient.grpc")
    with triton.InferenceServerClient(target) as client:
        if kind == "triton":
            assert client.is_server_live()
            assert client.is_model_ready(model)
            names = [each.name for each in client.get_model_metadata(model).inputs]
            assert entity in names, names
        for unit in units():
            tensor = triton_input(triton, unit)
            if kind == "triton":
                keep_triton(client.infer(model, [tensor], client_timeout=LIMIT_S))
                continue
            answers: queue.Queue[Any] = queue.Queue()
            client.async_infer(model, [tensor], partial(put, answers))
            result, error = answers.get(timeout=LIMIT_S)
            if error is not None:
                raise error
            keep_triton(result)


def call_triton_stream() -> None:
    triton: Any = import_module("tritonclient.grpc")
    answers: queue.Queue[Any] = queue.Queue()
    with triton.InferenceServerClient(target) as client:
        client.start_stream(partial(put, answers))
        for unit in units():
            client.async_stream_infer(model, [triton_input(triton, unit)])
            result, error = answers.get(timeout=LIMIT_S)
            if error is not None:
                raise error
            keep_triton(result)
        client.stop_stream()


async def call_triton_aio() -> None:
    triton: Any = import_module("tritonclient.grpc.aio")
    async with triton.InferenceServerClient(target) as client:
        for unit in units():
            answer = await client.infer(model, [triton_input(triton, unit)], client_timeout=LIMIT_S)
            keep_triton(answer)

        async def requests() -> AsyncIterator[dict[str, Any]]:
            yield {
                "model_name": model,
                "inputs": [triton_input(triton, listed.partition(",")[0])],
            }

        async for streamed, error in client.stream_infer(requests()):
            assert error is None, error
            assert streamed.as_numpy("score").shape == (1, 1)


async def call_kserve() -> None:
    kserve: Any = import_module("kserve")  # takes seconds: only if it is the one to try
    async with kserve.InferenceGRPCClient(target, timeout=LIMIT_S) as client:
        assert await client.is_server_live()
        assert await client.is_model_ready(model)
        for unit in units():
            tensor = kserve.InferInput(entity, [1, 1], "BYTES")
            tensor.set_data_from_numpy(texts(unit), binary_data=True)
            answer = await client.infer(kserve.InferRequest(model, [tensor]))
            scores = [each for each in answer.outputs if each.name == "score"]
            keep(answer.model_version or "", float(scores[0].as_numpy()[0, 0]))


def await_end() -> None:
    sys.stdin.read()
    is_over.set()


threading.Thread(target=await_end, daemon=True).start()
try:
    if kind == "kserve":
        asyncio.run(call_kserve())
    elif kind == "triton_aio":
        asyncio.run(call_triton_aio())
    elif kind == "triton_stream":
        call_triton_stream()
    else:
        call_triton()
except Exception as error:  # noqa: BLE001 - the outcome of this caller
    failures.append(repr(error))
tell(json.dumps({"versions": versions, "failures": failures}))
