"""The golden file: reading restores the written arrays, and untrusted files raise no other errors."""

from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from onnx import TensorProto

from tests.artifact.artifacts import ROWS, added, npy, zipped
from tests.artifact.models import doubling_model, identity_model
from understudy.artifact.golden import read_golden, write_golden
from understudy.artifact.npz import MOST_BYTES, read_arrays
from understudy.artifact.replay import record_golden
from understudy.artifact.signature import DTYPE_OF
from understudy.domain.errors import InvalidInputError
from understudy.domain.versions import DYNAMIC, TensorSpec

# numpy stores strings without trailing NULs.
TEXT = st.text(st.characters(codec="utf-8"), max_size=4).filter(lambda text: "\0" not in text)


@st.composite
def any_tensor(draw: st.DrawFn) -> tuple[TensorSpec, Any]:
    datatype = draw(st.sampled_from(sorted(DTYPE_OF)))
    shape = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    elements = TEXT if datatype == "BYTES" else None
    array = draw(arrays_of.arrays(DTYPE_OF[datatype], shape, elements=elements))
    return TensorSpec("name:0/x", datatype, (DYNAMIC, shape[1])), array


@given(any_tensor())
def test_written_vectors_are_read_unchanged(given_tensor: tuple[TensorSpec, Any]) -> None:
    spec, array = given_tensor
    with TemporaryDirectory() as folder:
        path = Path(folder) / "golden.npz"
        write_golden(path, {spec.name: array}, {spec.name: array})

        golden = read_golden(path, [spec], [spec])

    (found,) = golden.inputs
    assert found.dtype == DTYPE_OF[spec.datatype]
    np.testing.assert_array_equal(found, array)
    np.testing.assert_array_equal(golden.outputs[spec.name].astype(found.dtype), array)
    assert golden.rows == len(array)


def sound_file() -> bytes:
    stream = BytesIO()
    np.savez_compressed(stream, **{"in:X": ROWS, "out:Y": ROWS})  # type: ignore[arg-type] # names
    return stream.getvalue()


SOUND = sound_file()


@given(st.lists(st.tuples(st.integers(0, len(SOUND) - 1), st.integers(0, 255)), max_size=4))
def test_a_damaged_file_is_either_read_or_refused(damage: list[tuple[int, int]]) -> None:
    content = bytearray(SOUND)
    for at, byte in damage:
        content[at] = byte
    spec = TensorSpec("X", "FP32", (DYNAMIC, 3))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "golden.npz"
        path.write_bytes(content)
        try:
            golden = read_golden(path, [spec], [TensorSpec("Y", "FP32", (DYNAMIC, 3))])
        except InvalidInputError:
            return  # any other error fails the test
    assert golden.inputs[0].shape[1:] == (3,)


HEADER = npy(ROWS)[:128]
HEADER_BYTES = st.sampled_from(b"()[]{}',:0123456789<>|OfiUSM \\\n\"#-*\0\xff")


@pytest.mark.filterwarnings("ignore:Reading `.npy`")  # numpy's warning about headers by Python 2
@given(st.lists(st.tuples(st.integers(0, 127), HEADER_BYTES), min_size=1, max_size=6))
def test_an_odd_header_is_either_read_or_refused(damage: list[tuple[int, int]]) -> None:
    """numpy parses the header as Python, and fails in as many ways."""
    content = bytearray(HEADER)
    for at, byte in damage:
        content[at] = byte
    with TemporaryDirectory() as folder:
        zipped({"in:X.npy": bytes(content) + ROWS.tobytes()})(Path(folder))
        try:
            stored = read_arrays(Path(folder) / "golden.npz", lambda name: True)
        except InvalidInputError:
            return  # any other error fails the test
    assert stored.arrays["in:X"].nbytes == ROWS.nbytes


def test_other_arrays_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "any.npz"
    np.savez(path, kept=ROWS, pickled=np.array([{}], object))

    stored = read_arrays(path, lambda name: name == "kept")

    assert stored.names == ("kept", "pickled")
    assert [*stored.arrays] == ["kept"]


def test_the_limit_applies_to_the_arrays_that_are_read() -> None:
    assert MOST_BYTES == 268_435_456, "docs/reference/artifact.md says 256 MiB"


@pytest.mark.parametrize(
    "given_strings", [np.array([["yes"], ["no"]]), np.array([["yes"], ["no"]], dtype=object)]
)
def test_strings_are_recorded_from_any_dtype(given_strings: Any, tmp_path: Path) -> None:
    identity_model(tmp_path / "model.onnx", TensorProto.STRING, ("N", 1))

    record_golden(tmp_path, {"X": given_strings})

    spec = TensorSpec("X", "BYTES", (DYNAMIC, 1))
    golden = read_golden(tmp_path / "golden.npz", [spec], [TensorSpec("Y", "BYTES", spec.shape)])
    assert golden.inputs[0].tolist() == golden.outputs["Y"].tolist() == [["yes"], ["no"]]


def test_numbers_are_recorded_in_the_datatype_of_the_model(tmp_path: Path) -> None:
    doubling_model(tmp_path / "model.onnx")

    record_golden(tmp_path, {"X": np.full((2, 3), 0.1)})

    with np.load(tmp_path / "golden.npz") as stored:
        assert stored["in:X"].dtype == np.float32
        assert (stored["out:Y"] == np.float32(0.1) * 2).all()


def test_inputs_of_another_model_are_not_recorded(tmp_path: Path) -> None:
    added(ROWS, ROWS)(tmp_path)

    with pytest.raises(InvalidInputError, match=r"read \['A', 'Z'\]; accepted: \['A', 'B'\]"):
        record_golden(tmp_path, {"A": ROWS, "Z": ROWS})
    with pytest.raises(InvalidInputError, match="in:B: read strings; accepted: FP32"):
        record_golden(tmp_path, {"A": ROWS, "B": np.full((4, 3), "1")})
