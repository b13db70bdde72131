"""Texts of a raw tensor, whose lengths may be wrong."""

import pytest

from understudy.domain.errors import InvalidInputError
from understudy.domain.versions import TensorSpec
from understudy.inference.tensor_reader import TensorReader
from understudy.oip import inference_pb2 as pb


class Uncut(bytes):
    """Bytes of which no part may be copied."""

    __slots__ = ()

    def __getitem__(self, part: object) -> bytes:  # type: ignore[override]  # never returns
        raise AssertionError(f"{part} was copied")


def test_a_text_that_would_end_beyond_its_tensor_is_refused_without_a_copy() -> None:
    reader = TensorReader(TensorSpec("user", "BYTES", (-1,)), max_rows=None)
    tensor = pb.ModelInferRequest.InferInputTensor(name="user", datatype="BYTES", shape=[1])
    raw = Uncut(b"\xff\xff\xff\x7f" + b"x" * 100)

    with pytest.raises(InvalidInputError, match="104 bytes, in which 0 elements end at 0"):
        reader.read(tensor, raw)
