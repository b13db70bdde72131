"""Models as authors build them: scikit-learn pipelines converted by skl2onnx."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from tests.artifact.models import save_model, tensor
from tests.scorer.serving import infer_request, load, open_service
from understudy.domain.errors import InvalidInputError
from understudy.oip import inference_pb2 as pb

RANDOM = np.random.default_rng(7)
ROWS = RANDOM.normal(size=(40, 4)).astype(np.float32)
LABELS = (ROWS[:, 0] > 0).astype(np.int64)


def save(model: Any, path: Path, **options: Any) -> Path:
    path.write_bytes(to_onnx(model, **options).SerializeToString())
    return path


def text_input(request: pb.ModelInferRequest, name: str, texts: list[str]) -> None:
    tensor = request.inputs.add(name=name, datatype="BYTES", shape=[len(texts), 1])
    tensor.contents.bytes_contents.extend(text.encode() for text in texts)


def float_input(request: pb.ModelInferRequest, name: str, values: list[float]) -> None:
    tensor = request.inputs.add(name=name, datatype="FP32", shape=[len(values), 1])
    tensor.contents.fp32_contents.extend(values)


def output_of(response: pb.ModelInferResponse, name: str, dtype: Any) -> NDArray[Any]:
    (at,) = [at for at, output in enumerate(response.outputs) if output.name == name]
    flat = np.frombuffer(response.raw_output_contents[at], dtype)
    return flat.reshape(tuple(response.outputs[at].shape))


async def test_a_classifier_gives_its_probabilities(tmp_path: Path) -> None:
    model = GradientBoostingClassifier(n_estimators=10, random_state=0).fit(ROWS, LABELS)
    path = save(model, tmp_path / "m.onnx", X=ROWS[:1], options={"zipmap": False})
    request = pb.ModelInferRequest(model_name="doubler")
    request.inputs.add(name="X", datatype="FP32", shape=ROWS.shape)
    request.raw_input_contents.append(ROWS.tobytes())

    async with open_service(path, tmp_path) as served:
        response = await served.call("ModelInfer", request)

    probabilities = output_of(response, "probabilities", np.float32)
    assert np.allclose(probabilities, model.predict_proba(ROWS), atol=1e-5)
    assert output_of(response, "label", np.int64).tolist() == model.predict(ROWS).tolist()


async def test_a_regressor_gives_its_values_and_only_the_requested_outputs(tmp_path: Path) -> None:
    model = GradientBoostingRegressor(n_estimators=10, random_state=0).fit(ROWS, ROWS[:, 1])
    path = save(model, tmp_path / "m.onnx", X=ROWS[:1])
    request = pb.ModelInferRequest(model_name="doubler")
    request.inputs.add(name="X", datatype="FP32", shape=ROWS.shape)
    request.raw_input_contents.append(ROWS.tobytes())
    request.outputs.add(name="variable")

    async with open_service(path, tmp_path) as served:
        response = await served.call("ModelInfer", request)

    assert [output.name for output in response.outputs] == ["variable"]
    values = output_of(response, "variable", np.float32)[:, 0]
    assert np.allclose(values, model.predict(ROWS), atol=1e-5)


def ranking_weights() -> NDArray[np.float32]:
    """Learn from pairs of candidates which one is better; the intercept has no meaning."""
    relevance = ROWS @ np.array([2.0, -1.0, 0.0, 0.5])
    left, right = RANDOM.permutation(len(ROWS)), RANDOM.permutation(len(ROWS))
    is_better = relevance[left] > relevance[right]
    pairwise = LogisticRegression(fit_intercept=False).fit(ROWS[left] - ROWS[right], is_better)
    return np.asarray(pairwise.coef_.T, np.float32)


async def test_a_ranker_gives_each_query_the_raw_scores_of_its_own_candidates(
    tmp_path: Path,
) -> None:
    """Each row gives one unbounded number, in a tensor with one axis."""
    weights = ranking_weights()
    path = save_model(
        tmp_path / "m.onnx",
        [
            helper.make_node("MatMul", ["X", "W"], ["column"]),
            helper.make_node("Squeeze", ["column", "axis"], ["score"]),
        ],
        [tensor("X", shape=("N", 4))],
        [tensor("score", shape=("N",))],
        [
            numpy_helper.from_array(weights, "W"),
            numpy_helper.from_array(np.array([1]), "axis"),
        ],
    )
    queries = [ROWS[:7], ROWS[7:8], ROWS[8:30], ROWS[30:]]

    async with open_service(path, tmp_path) as served:
        calls = [served.call("ModelInfer", infer_request(candidates)) for candidates in queries]
        responses = await asyncio.gather(*calls)

    for candidates, response in zip(queries, responses, strict=True):
        scores = output_of(response, "score", np.float32)
        assert scores.shape == (len(candidates),)
        assert np.allclose(scores, (candidates @ weights)[:, 0], atol=1e-5)
    assert output_of(responses[2], "score", np.float32).min() < 0


def test_zipmap_is_refused_with_the_function_that_takes_it_off(tmp_path: Path) -> None:
    model = LogisticRegression().fit(ROWS, LABELS)
    path = save(model, tmp_path / "m.onnx", X=ROWS[:1])

    with pytest.raises(InvalidInputError, match=r"output_probability.*take_off_zipmap"):
        load(path)


COLOURS = ["red", "green", "blué", "red", "green", "blué"] * 5
SIZES = RANDOM.normal(size=(len(COLOURS), 1)).astype(np.float32)


def pipeline_of_columns() -> Pipeline:
    table = np.empty((len(COLOURS), 2), dtype=np.object_)
    table[:, 0], table[:, 1] = SIZES[:, 0], COLOURS
    columns = ColumnTransformer(
        [("n", StandardScaler(), [0]), ("c", OneHotEncoder(handle_unknown="ignore"), [1])]
    )
    labels = [int(colour == "red") for colour in COLOURS]
    return Pipeline([("columns", columns), ("model", LogisticRegression())]).fit(table, labels)


async def test_a_column_transformer_takes_named_inputs_with_strings(tmp_path: Path) -> None:
    pipeline = pipeline_of_columns()
    inputs = [
        ("size", FloatTensorType([None, 1])),
        ("colour", StringTensorType([None, 1])),
    ]
    path = save(
        pipeline,
        tmp_path / "m.onnx",
        initial_types=inputs,
        options={id(pipeline): {"zipmap": False}},
    )
    request = pb.ModelInferRequest(model_name="doubler")
    text_input(request, "colour", ["red", "blué", "never seen"])
    float_input(request, "size", [0.5, -1.0, 0.0])

    async with open_service(path, tmp_path) as served:
        response = await served.call("ModelInfer", request)

    assert output_of(response, "label", np.int64).tolist()[:2] == [1, 0]
    assert output_of(response, "probabilities", np.float32).shape == (3, 2)
