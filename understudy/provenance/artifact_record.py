"""Artifact and features in a provenance record: the groups that the gate compares with the files."""

from typing import Literal

from understudy.provenance.fields import (
    Count,
    Name,
    NotNegative,
    Part,
    Sha256,
    Size,
    described,
)

OF_FILE = "the model's file"  # a fact that is read in it
_RECEIVED = "the received bytes"
_LOADED = "the loaded model"
_VIEWS = "the feature views"


class FileFact(Part):
    path: Name = described("the file's path below the artifact, e.g. model.onnx", checked=_RECEIVED)
    sha256: Sha256 = described("sha256 of the file's bytes", checked=_RECEIVED)
    size_bytes: int = described("size of the file in bytes", ge=0, checked=_RECEIVED)


class Tensor(Part):
    name: Name = described("the tensor's name in the model", checked=_LOADED)
    datatype: Name = described("Open Inference Protocol datatype, e.g. FP32", checked=_LOADED)
    # Not `checked`: a dimension that the model leaves open may be recorded as fixed.
    shape: tuple[Size, ...] = described("sizes; -1 where any size is accepted")


class Golden(Part):
    rows: Count = described(
        "number of golden vectors in golden.npz, at least 1", checked="golden.npz"
    )
    tolerance: NotNegative = described(
        "largest absolute difference allowed in a replay, e.g. 1e-5",
        checked="a replay of the golden vectors",
    )


class Artifact(Part):
    files: tuple[FileFact, ...] = described("every file of the artifact", min_length=1)
    opsets: dict[str, int] = described(
        "opset version by operator domain ('' is ai.onnx)", min_length=1, checked=OF_FILE
    )
    ir_version: Count = described("the model's ONNX IR version", checked=OF_FILE)
    producer: Name = described(
        "the program that wrote the model: name and version as in its file, e.g. 'skl2onnx 1.20.0', "
        "or 'not named in the file'",
        checked=OF_FILE,
    )
    inputs: tuple[Tensor, ...] = described("the model's inputs, in order", min_length=1)
    outputs: tuple[Tensor, ...] = described("the model's outputs, in order", min_length=1)
    golden: Golden = described("golden vectors: rows and tolerance")
    joins_rows: bool = described(
        "false if an answer may depend on other rows of its run: each row then runs alone",
        default=True,
        checked="runs of the golden rows alone, together and in other orders",
    )


class FeatureColumn(Part):
    ref: Name = described("view@version:feature", checked=_VIEWS)
    dtype: Literal["float32", "float64", "int64", "bool", "string"] = described(
        "as in the feature view", checked=_VIEWS
    )
    default: float | int | bool | str | None = described(
        "as in the feature view; null for none", checked=_VIEWS
    )
    max_age_s: float | None = described(
        "as in the feature view; null for never stale", checked=_VIEWS
    )
    input: Name | None = described(
        "name of the model's input that reads it; null if names or datatypes leave no other",
        default=None,
    )


class Transform(Part):
    where: Literal["in_model", "before_loading"] = described(
        "in_model: inside model.onnx; before_loading: done before features are loaded"
    )
    digest: Sha256 = described(
        "in_model: sha256 of model.onnx; otherwise of the transforming code", checked=_RECEIVED
    )


class Features(Part):
    columns: tuple[FeatureColumn, ...] = described(
        "ordered as the model's input columns", min_length=1
    )
    digest: Sha256 = described(
        "sha256 of the canonical JSON of `columns`", checked="features.columns, hashed anew"
    )
    view_digests: dict[str, str] = described(
        "digest by view@version, for each view", min_length=1, checked=_VIEWS
    )
    transform: Transform = described("where raw values become inputs, and a digest of it")
