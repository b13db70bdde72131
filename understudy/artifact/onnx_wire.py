"""External data and operators of a model, read from its bytes without importing onnx.

Importing onnx would cost each scorer process 0.2 s of start-up and 15 MB for this one purpose.
Only the fields on the way to `TensorProto.external_data` and `NodeProto.op_type` are followed.
"""

from collections.abc import Iterator

from understudy.domain.errors import InvalidInputError

# message: field number -> message in that field. The numbers of onnx.proto never change.
_FIELDS: dict[str, dict[int, str]] = {
    "Model": {7: "Graph", 20: "Training", 25: "Function"},
    "Training": {1: "Graph", 2: "Graph"},
    "Function": {7: "Node", 11: "Attribute"},
    "Graph": {1: "Node", 5: "Tensor", 15: "Sparse"},
    "Node": {5: "Attribute"},
    "Attribute": {5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 22: "Sparse", 23: "Sparse"},
    "Sparse": {1: "Tensor", 2: "Tensor"},
    "Tensor": {13: "Entry"},
}
_ENTRY_KEY, _ENTRY_VALUE = 1, 2
_NODE_TYPE = 4
_WITH_NODES = frozenset(("Graph", "Training", "Function", "Node", "Attribute"))
_DEEPEST = 64
_LONGEST_VARINT_BITS = 70


def external_locations(model: bytes) -> tuple[str, ...]:
    """Return the distinct locations of external data, in order of appearance.

    Raises:
        InvalidInputError: the bytes are not a protobuf message.
    """
    return tuple(dict.fromkeys(_locations(memoryview(model), "Model", 0)))


def operator_types(model: bytes) -> tuple[str, ...]:
    """Return the distinct types of the model's operators, in order of appearance.

    Raises:
        InvalidInputError: the bytes are not a protobuf message.
    """
    return tuple(dict.fromkeys(_types(memoryview(model), "Model", 0)))


def _types(content: memoryview, kind: str, depth: int) -> Iterator[str]:
    if depth > _DEEPEST:
        raise _unreadable("nested too deeply")
    followed = _FIELDS[kind]
    for number, value in _fields(content):
        if kind == "Node" and number == _NODE_TYPE:
            yield bytes(value).decode(errors="replace")
        elif followed.get(number) in _WITH_NODES:
            yield from _types(value, followed[number], depth + 1)


def _locations(content: memoryview, kind: str, depth: int) -> Iterator[str]:
    if depth > _DEEPEST:
        raise _unreadable("nested too deeply")
    if kind == "Entry":
        entry = {number: bytes(value) for number, value in _fields(content)}
        if entry.get(_ENTRY_KEY) == b"location":
            yield entry.get(_ENTRY_VALUE, b"").decode(errors="replace")
        return
    followed = _FIELDS[kind]
    for number, value in _fields(content):
        if number in followed:
            yield from _locations(value, followed[number], depth + 1)


def _fields(content: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield number and value of each length-delimited field; skip other fields."""
    at = 0
    while at < len(content):
        tag, at = _varint(content, at)
        match tag & 7:
            case 0:
                _, at = _varint(content, at)
            case 1:
                at += 8
            case 5:
                at += 4
            case 2:
                size, at = _varint(content, at)
                if at + size > len(content):
                    raise _unreadable("a field ends beyond the file")
                yield tag >> 3, content[at : at + size]
                at += size
            case _:
                raise _unreadable("an unknown wire type")
    if at != len(content):
        raise _unreadable("a field ends beyond the file")


def _varint(content: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(content) and shift < _LONGEST_VARINT_BITS:
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 - the continuation bit
            return value, at
        shift += 7
    raise _unreadable("a number without end")


def _unreadable(why: str) -> InvalidInputError:
    return InvalidInputError.of("model.onnx", read=why, accepted="an ONNX model")
