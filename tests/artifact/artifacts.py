"""Artifacts of many kinds, valid and invalid, for the contract test of scorer and gate.

Each is a function that fills an empty folder, with a part of the expected message, or "" if valid.
"""

from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, external_data_helper, helper, numpy_helper

from tests.artifact.models import doubling_model, identity_model, save_golden, save_model, tensor

Make = Callable[[Path], object]

ROWS = np.arange(12, dtype=np.float32).reshape(4, 3)
TOLERANCE = 1e-3
NAN = np.where(ROWS == 5, np.float32(np.nan), ROWS)
INFINITE = np.where(ROWS == 5, np.float32(np.inf), ROWS)
WORDS = np.array([["a", "bc"], ["", "é"]])


def doubling(**golden: NDArray[Any]) -> Make:
    """Make Y = X + X, with these golden vectors."""

    def make(folder: Path) -> None:
        doubling_model(folder / "model.onnx")
        save_golden(folder, **golden)

    return make


def doubled(rows: NDArray[Any], **changes: NDArray[Any]) -> Make:
    """Make Y = X + X, with matching golden vectors except for `changes`."""
    return doubling(**{"in_X": rows, "out_Y": rows * 2, **changes})


def same(kind: int, rows: NDArray[Any], answer: NDArray[Any] | None = None) -> Make:
    """Make Y = X of one datatype."""

    def make(folder: Path) -> None:
        identity_model(folder / "model.onnx", kind)
        save_golden(folder, in_X=rows, out_Y=rows if answer is None else answer)

    return make


def added(a: NDArray[Any], b: NDArray[Any], *, b_shape: Any = ("M", 3), a_rows: Any = "N") -> Make:
    """Make Y = A + B, with two inputs."""

    def make(folder: Path) -> None:
        save_model(
            folder / "model.onnx",
            [helper.make_node("Add", ["A", "B"], ["Y"])],
            [tensor("A", shape=(a_rows, 3)), tensor("B", shape=b_shape)],
            [tensor("Y", shape=("K", 3))],
        )
        answer = a + b if np.broadcast(a, b).shape == a.shape else a
        save_golden(folder, in_A=a, in_B=b, out_Y=answer)

    return make


def labelled(**golden: NDArray[Any]) -> Make:
    """Make Y = X + X, and an integer label: is it above 4?"""

    def make(folder: Path) -> None:
        save_model(
            folder / "model.onnx",
            [
                helper.make_node("Add", ["X", "X"], ["Y"]),
                helper.make_node("Greater", ["Y", "four"], ["above"]),
                helper.make_node("Cast", ["above"], ["label"], to=TensorProto.INT64),
            ],
            [tensor("X")],
            [tensor("Y"), tensor("label", TensorProto.INT64)],
            [numpy_helper.from_array(np.array(4, np.float32), "four")],
        )
        save_golden(folder, in_X=ROWS, **golden)

    return make


def scalar(folder: Path) -> None:
    save_model(
        folder / "model.onnx",
        [helper.make_node("Add", ["X", "X"], ["Y"])],
        [tensor("X", shape=())],
        [tensor("Y", shape=())],
    )
    save_golden(folder, in_X=np.array(2.0), out_Y=np.array(4.0))


def of_size_zero(side: str) -> Make:
    """Declare the last size of the input or output as 0, as some exporters do."""

    def make(folder: Path) -> None:
        sizes = {"X": 3, "Y": 3, side: 0}
        save_model(
            folder / "model.onnx",
            # The standard's own check of shapes does not see through these.
            [
                helper.make_node("Shape", ["X"], ["shape"]),
                helper.make_node("Reshape", ["X", "shape"], ["Y"]),
            ],
            [tensor("X", shape=("N", sizes["X"]))],
            [tensor("Y", shape=("N", sizes["Y"]))],
        )
        save_golden(folder, in_X=ROWS, out_Y=ROWS)

    return make


def mixing(folder: Path) -> None:
    save_model(
        folder / "model.onnx",
        [helper.make_node("Softmax", ["X"], ["Y"], axis=0)],
        [tensor("X")],
        [tensor("Y")],
    )
    save_golden(folder, in_X=ROWS[:1], out_Y=np.ones((1, 3)))


def sequence(folder: Path) -> None:
    kind = helper.make_sequence_type_proto(
        helper.make_tensor_type_proto(TensorProto.FLOAT, ["N", 3])
    )
    save_model(
        folder / "model.onnx",
        [helper.make_node("SequenceConstruct", ["X"], ["many"])],
        [tensor("X")],
        [helper.make_value_info("many", kind)],
    )
    save_golden(folder, in_X=ROWS, out_many=ROWS)


def picking(index: int) -> Make:
    """Make Y the row of a table at the index X; the golden index may be out of range."""

    def make(folder: Path) -> None:
        save_model(
            folder / "model.onnx",
            [helper.make_node("Gather", ["table", "X"], ["Y"])],
            [tensor("X", TensorProto.INT64, ("N",))],
            [tensor("Y", shape=("N", 3))],
            [numpy_helper.from_array(ROWS, "table")],
        )
        save_golden(folder, in_X=np.array([index]), out_Y=ROWS[:1])

    return make


def npy(array: NDArray[Any]) -> bytes:
    stream = BytesIO()
    np.lib.format.write_array(stream, array)
    return stream.getvalue()


def zipped(members: Mapping[str, bytes], *, compression: int = ZIP_STORED) -> Make:
    """Make a doubling model with a zip file of these members as golden vectors."""

    def make(folder: Path) -> None:
        doubling_model(folder / "model.onnx")
        with ZipFile(folder / "golden.npz", "w", compression) as archive:
            for name, content in members.items():
                archive.writestr(name, content)

    return make


def golden_bytes(content: bytes) -> Make:
    def make(folder: Path) -> None:
        doubling_model(folder / "model.onnx")
        (folder / "golden.npz").write_bytes(content)

    return make


def flipped(folder: Path) -> None:
    """Change a byte of an array, so that its checksum is wrong."""
    doubled(ROWS)(folder)
    content = bytearray((folder / "golden.npz").read_bytes())
    content[content.index(ROWS.tobytes()) + 5] ^= 1
    (folder / "golden.npz").write_bytes(content)


def oversized(folder: Path) -> None:
    """Make a small file of 257 MiB of zeros."""
    doubling_model(folder / "model.onnx")
    mebibyte = bytes(1 << 20)
    with (
        ZipFile(folder / "golden.npz", "w", ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("in:X.npy", "w") as stream,
    ):
        for _ in range(257):
            stream.write(mebibyte)


def claiming(shape: tuple[int, ...], size_bytes: int = 24) -> bytes:
    """Return an array whose header has another shape than its content."""
    stream = BytesIO()
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue() + bytes(size_bytes)


def without_golden(folder: Path) -> None:
    doubling_model(folder / "model.onnx")


def model_bytes(content: bytes) -> Make:
    def make(folder: Path) -> None:
        (folder / "model.onnx").write_bytes(content)
        save_golden(folder, in_X=ROWS, out_Y=ROWS)

    return make


def rewritten(change: Callable[[onnx.ModelProto], object]) -> Make:
    """Make a doubling model with a change that ONNX Runtime does not load."""

    def make(folder: Path) -> None:
        doubled(ROWS)(folder)
        model = onnx.load(folder / "model.onnx")
        change(model)
        (folder / "model.onnx").write_bytes(model.SerializeToString())

    return make


def too_new(model: onnx.ModelProto) -> None:
    model.ir_version = 99


def unknown_operator(model: onnx.ModelProto) -> None:
    model.graph.node[0].op_type = "Double"


def external(location: str, *, beside: str | None = None, link: str | None = None) -> Make:
    """Make Y = X + W with W at `location`; `beside` is written, `link` is a link outside."""

    def make(folder: Path) -> None:
        weights = numpy_helper.from_array(np.ones(3, np.float32), "W")
        external_data_helper.set_external_data(weights, location)
        weights.ClearField("raw_data")
        graph = helper.make_graph(
            [helper.make_node("Add", ["X", "W"], ["Y"])],
            "graph",
            [tensor("X")],
            [tensor("Y")],
            [weights],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        (folder / "model.onnx").write_bytes(model.SerializeToString())
        content = np.ones(3, np.float32).tobytes()
        (folder.parent / "outside.bin").write_bytes(content)
        if beside is not None:
            (folder / beside).parent.mkdir(parents=True, exist_ok=True)
            (folder / beside).write_bytes(content)
        if link is not None:
            (folder / link).symlink_to(folder.parent / "outside.bin")
        save_golden(folder, in_X=ROWS, out_Y=ROWS + 1)

    return make


def in_a_function(folder: Path) -> None:
    """Put external data into the attribute of a function, which a walk over the graph misses."""
    tensor_outside = TensorProto(name="W", data_type=TensorProto.FLOAT, dims=[3])
    tensor_outside.data_location = TensorProto.EXTERNAL
    tensor_outside.external_data.add(key="location", value="../outside.bin")
    doubled(ROWS)(folder)
    model = onnx.load(folder / "model.onnx")
    attribute = helper.make_attribute("value", tensor_outside)
    function = model.functions.add(name="F", domain="ai.onnx.ml")
    function.attribute_proto.append(attribute)
    (folder / "model.onnx").write_bytes(model.SerializeToString())


def linked_model(folder: Path) -> None:
    doubled(ROWS)(folder)
    (folder / "model.onnx").rename(folder.parent / "elsewhere.onnx")
    (folder / "model.onnx").symlink_to(folder.parent / "elsewhere.onnx")


def beside(name: str) -> Make:
    """Make a valid artifact with an additional file."""

    def make(folder: Path) -> None:
        doubled(ROWS)(folder)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"notes")

    return make


FLOAT, DOUBLE, HALF = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16
INT, BYTE, BOOLEAN, STRING = (
    TensorProto.INT64,
    TensorProto.UINT8,
    TensorProto.BOOL,
    TensorProto.STRING,
)
TWO = np.ones((2, 2))

ARTIFACTS: dict[str, tuple[Make, str]] = {
    # datatypes
    "floats": (doubled(ROWS), ""),
    "strings": (same(STRING, WORDS), ""),
    "strings as bytes in UTF-8": (same(STRING, np.char.encode(WORDS, "utf-8")), ""),
    "bytes that are not UTF-8": (same(STRING, np.full((2, 2), b"\xff")), "not UTF-8"),
    "an output in bytes that are not UTF-8": (
        same(STRING, WORDS, np.full((2, 2), b"\xff")),
        "UTF-8",
    ),
    "integers": (same(INT, np.array([[1, -2], [2**62, 0]])), ""),
    "small integers": (same(BYTE, np.array([[0, 255]], np.uint8)), ""),
    "booleans": (same(BOOLEAN, np.array([[True, False]])), ""),
    "half precision": (same(HALF, np.array([[0.1, 6e4]], np.float16)), ""),
    "double precision": (same(DOUBLE, np.array([[0.1, 1e300]])), ""),
    # another dtype than the model's
    "doubles for floats": (doubled(ROWS.astype(np.float64) + 0.1), ""),
    "integers for floats": (doubled(np.arange(12).reshape(4, 3)), ""),
    "booleans for floats": (doubled(ROWS > 3, out_Y=(ROWS > 3) * 2), ""),
    "integral floats for integers": (same(INT, TWO), ""),
    "fractional floats for integers": (same(INT, TWO * 1.5), "4 values that INT64 cannot hold"),
    "NaN for integers": (same(INT, TWO * np.nan), "INT64 cannot hold"),
    "too large for a byte": (same(BYTE, np.array([[256, 1]])), "1 values that UINT8 cannot"),
    "too large for a float": (doubled(np.full((1, 3), 1e300)), "FP32 cannot hold"),
    "two for a boolean": (same(BOOLEAN, TWO * 2), "BOOL cannot hold"),
    "strings for floats": (doubling(in_X=np.full((1, 3), "1"), out_Y=ROWS[:1]), "read strings"),
    "numbers for strings": (same(STRING, TWO), "in:X: read float64"),
    "complex numbers": (doubled(ROWS * 1j), "complex"),
    "times": (doubling(in_X=ROWS.astype("M8[s]"), out_Y=ROWS), "datetime64"),
    "complex outputs": (doubled(ROWS, out_Y=ROWS * 2j), "accepted: numbers or strings"),
    "big-endian and transposed": (doubled(np.asfortranarray(ROWS.astype(">f8"))), ""),
    # the arrays of the file
    "a note with them": (doubled(ROWS, note=np.array("by ada")), ""),
    "a pickled note with them": (
        zipped(
            {
                "in:X.npy": npy(ROWS),
                "out:Y.npy": npy(ROWS * 2),
                "note.npy": npy(np.array([{}], object)),
            }
        ),
        "",
    ),
    "compressed": (
        zipped({"in:X.npy": npy(ROWS), "out:Y.npy": npy(ROWS * 2)}, compression=ZIP_DEFLATED),
        "",
    ),
    "an input that the converter left out": (doubled(ROWS, in_Z=ROWS), ""),
    "an output too many": (doubled(ROWS, out_Z=ROWS), "'Z': read no such output"),
    "no input": (doubling(out_Y=ROWS), "in:NAME for each input"),
    "no output": (doubling(in_X=ROWS), "out:NAME for at least one output"),
    "names without prefix": (doubling(X=ROWS, Y=ROWS), r"arrays ['X', 'Y']"),
    "one output of two": (labelled(out_Y=ROWS * 2), ""),
    "both outputs": (labelled(out_Y=ROWS * 2, out_label=(ROWS > 2).astype(np.int32)), ""),
    "labels as floats": (labelled(out_label=(ROWS > 2).astype(np.float64)), ""),
    "another label": (labelled(out_label=np.ones((4, 3), np.int64)), "3 of 12 integers"),
    "a label that is right only when wrapped": (
        labelled(out_label=np.where(ROWS > 2, 257, 256)),
        "12 of 12 integers",
    ),
    "labels as strings": (
        labelled(out_label=np.full((4, 3), "1")),
        "numbers, as returned by the model",
    ),
    "numbers for a string output": (same(STRING, WORDS, TWO), "strings, as returned by the model"),
    "another string": (same(STRING, WORDS, np.array([["a", "bcd"], ["", "é"]])), "1 of 4 strings"),
    "a truncated string": (
        same(STRING, WORDS, np.array([["a", "b"], ["", "é"]])),
        "1 of 4 strings",
    ),
    # shapes and rows
    "one row": (doubled(ROWS[:1]), ""),
    "0 rows": (doubled(ROWS[:0]), "0 rows"),
    "other columns": (doubled(np.ones((2, 4))), "read shape (2, 4); accepted: (-1, 3)"),
    "other dimensions": (doubled(np.ones(3)), "read shape (3,)"),
    "an output with fewer rows": (doubled(ROWS, out_Y=ROWS[:1]), "read shape (1, 3)"),
    "a scalar": (scalar, ""),
    "two inputs": (added(ROWS, ROWS), ""),
    "two inputs of unequal rows": (added(ROWS, ROWS[:1]), "as many rows in each input"),
    "an input without rows next to one with rows": (
        added(ROWS, ROWS[0], b_shape=(3,)),
        "",
    ),
    "fixed inputs of unequal sizes": (added(ROWS, ROWS[:1], a_rows=4, b_shape=(1, 3)), ""),
    # values
    "within the tolerance": (doubled(ROWS, out_Y=ROWS * 2 + TOLERANCE / 2), ""),
    "beyond the tolerance": (doubled(ROWS, out_Y=ROWS * 2 + 0.25), "difference of 0.25"),
    "NaN as in the model": (doubled(NAN), ""),
    "infinity as in the model": (doubled(INFINITE), ""),
    "NaN for a number": (doubled(ROWS, out_Y=NAN * 2), "1 of 12 values are NaN"),
    "a number for NaN": (doubled(NAN, out_Y=ROWS * 2), "1 of 12 values are NaN"),
    "infinity for a number": (doubled(ROWS, out_Y=INFINITE * 2), "1 of 12 values are NaN"),
    "infinity of the opposite sign": (doubled(INFINITE, out_Y=-INFINITE * 2), "NaN or infinite"),
    "inputs that the model cannot compute": (picking(9), "golden.npz inputs"),
    "inputs that the model can compute": (picking(0), ""),
    # the file
    "no golden vectors": (without_golden, "golden vectors"),
    "pickled arrays": (zipped({"in:X.npy": npy(np.array([{}], object))}), "pickled objects"),
    "an array outside of a zip file": (golden_bytes(npy(ROWS)), "an .npz file"),
    "a pickle": (golden_bytes(b"\x80\x04N."), "an .npz file"),
    "nothing": (golden_bytes(b""), "an .npz file"),
    "the beginning of a zip file": (golden_bytes(b"PK\x03\x04 broken"), "an .npz file"),
    "a damaged array": (flipped, "an .npz file"),
    "a member that is not an array": (zipped({"in:X.npy": b"rows", "out:Y.npy": b""}), ".npz"),
    "a member without suffix": (zipped({"in:X": npy(ROWS), "out:Y": npy(ROWS * 2)}), ""),
    "fewer bytes than the shape": (zipped({"in:X.npy": claiming((10**12, 3))}), "24 bytes"),
    "a size beyond 64 bits": (zipped({"in:X.npy": claiming((0, 10**30), 0)}), "an .npz file"),
    "negative sizes": (zipped({"in:X.npy": claiming((-2, -3))}), "an .npz file"),
    "oversized arrays": (oversized, "accepted: at most 268435456 bytes"),
    # the model
    "bytes that are not a protobuf message": (model_bytes(b"no model"), "an ONNX model"),
    "no model at all": (model_bytes(b""), "No graph was found"),
    "an unsupported IR version": (
        rewritten(too_new),
        "model.onnx: read Unsupported model IR version: 99, max supported IR version: ",
    ),
    "an unknown operator": (rewritten(unknown_operator), "This is an invalid model. In Node"),
    "rows that mix": (mixing, "router joins rows"),
    "a sequence as output": (sequence, "'many': read seq(tensor(float))"),
    "an output of size 0": (of_size_zero("Y"), ""),
    "an input of size 0": (of_size_zero("X"), "'X' shape: read ['N', 0]"),
    # files
    "external data": (external("weights.bin", beside="weights.bin"), ""),
    "external data in a folder": (external("a/weights.bin", beside="a/weights.bin"), ""),
    "external data with ./": (external("./weights.bin", beside="weights.bin"), ""),
    "external data that climbs": (external("../outside.bin"), "external_data.location"),
    "external data that climbs from inside": (
        external("a/../../outside.bin", beside="a/b.bin"),
        "external_data.location",
    ),
    "external data by an absolute path": (external("/etc/hostname"), "external_data.location"),
    "external data that is missing": (external("weights.bin"), "external_data.location"),
    "external data by a link": (external("w.bin", link="w.bin"), "a symbolic link"),
    "external data of a function": (in_a_function, "external_data.location"),
    "a model by a link": (linked_model, "model.onnx: read a symbolic link"),
    "a file with spaces": (beside("notes of ada (2).txt"), ""),
    "a hidden file": (beside(".notes/ada.txt"), ""),
}
