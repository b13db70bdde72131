"""The parts of Aerospike's wire protocol that a node must read and write."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from struct import Struct, unpack_from

INFO, MESSAGE = 1, 3
READ, GET_ALL, BATCH, NO_BIN_DATA = 1, 2, 8, 0x20
WRITE, DELETE, IF_GENERATION, DURABLE_DELETE, CREATE_ONLY = 1, 2, 4, 0x10, 0x20
LAST = 1
NAMESPACE_FIELD, SET_FIELD, DIGEST_FIELD, BATCH_FIELD, FILTER_FIELD = 0, 1, 4, 41, 43
OP_READ, OP_WRITE = 1, 2
NOTHING, INTEGER, STRING = 0, 1, 3
OK, NOT_FOUND, OTHER_GENERATION, BAD_REQUEST, EXISTS = 0, 2, 3, 4, 5
FORMING, TOO_BIG, NO_NAMESPACE, FORBIDDEN, FILTERED_OUT = 11, 13, 20, 22, 27
NEVER_EXPIRE = 0xFFFFFFFF
_EPOCH_S = 1_262_304_000  # the origin of expiry times, 2010-01-01T00:00Z

_HEADER = Struct(">BBBBBBIIIHH")
Bin = tuple[int, bytes]  # particle type, value


@dataclass
class Record:
    bins: dict[str, Bin] = field(default_factory=dict)
    generation: int = 0
    expires_at_s: float | None = None


@dataclass(frozen=True)
class Operation:
    kind: int
    particle: int
    name: str
    value: bytes


@dataclass(frozen=True)
class Request:
    info1: int
    info2: int
    generation: int
    ttl_s: int
    fields: dict[int, bytes]
    operations: list[Operation]


@dataclass(frozen=True)
class BatchRow:
    index: int
    digest: bytes
    request: Request  # without the digest

    @property
    def namespace(self) -> str:
        return self.request.fields[NAMESPACE_FIELD].decode()


def frame(kind: int, body: bytes) -> bytes:
    return bytes((2, kind)) + len(body).to_bytes(6, "big") + body


def read_request(body: bytes) -> Request:
    _, info1, info2, _, _, _, generation, ttl_s, _, fields, operations = _HEADER.unpack_from(body)
    offset = _HEADER.size
    found, offset = _read_fields(body, offset, fields)
    parsed, _ = _read_operations(body, offset, operations)
    return Request(info1, info2, generation, ttl_s, found, parsed)


def read_batch(body: bytes) -> Iterator[BatchRow]:
    (rows,) = unpack_from(">I", body)
    offset = 5
    request = Request(0, 0, 0, 0, {}, [])
    for _ in range(rows):
        (index,) = unpack_from(">I", body, offset)
        digest, kind = body[offset + 4 : offset + 24], body[offset + 24]
        offset += 25
        if not kind & 0x01:  # otherwise the same as in the row before
            info1, info2 = body[offset], body[offset + 1]
            offset += 3 + (1 if kind & 0x10 else 0)
            generation = ttl_s = 0
            if kind & 0x04:
                (generation,) = unpack_from(">H", body, offset)
                offset += 2
            if kind & 0x08:
                (ttl_s,) = unpack_from(">I", body, offset)
                offset += 4
            fields, operations = unpack_from(">HH", body, offset)
            found, offset = _read_fields(body, offset + 4, fields)
            parsed, offset = _read_operations(body, offset, operations)
            request = Request(info1, info2, generation, ttl_s, found, parsed)
        yield BatchRow(index, digest, request)


def reply(
    result: int,
    record: Record | None = None,
    bins: dict[str, Bin] | None = None,
    *,
    index: int = 0,
    info3: int = 0,
) -> bytes:
    """Return one message without its frame; `index` is the row's in the reply to a batch."""
    operations = b"".join(
        (4 + len(name) + len(value)).to_bytes(4, "big")
        + bytes((OP_READ, particle, 0, len(name)))
        + name.encode()
        + value
        for name, (particle, value) in (bins or {}).items()
    )
    expiry_s = 0 if record is None or record.expires_at_s is None else record.expires_at_s
    header = _HEADER.pack(
        _HEADER.size,
        0,
        0,
        info3,
        0,
        result,
        record.generation if record else 0,
        round(expiry_s - _EPOCH_S) if expiry_s else 0,
        index,
        0,
        len(bins or {}),
    )
    return header + operations


def chosen(record: Record, request: Request) -> dict[str, Bin]:
    """Return the bins that a read asks for."""
    if request.info1 & NO_BIN_DATA:
        return {}
    if request.info1 & GET_ALL:
        return record.bins
    names = [operation.name for operation in request.operations]
    return {name: record.bins[name] for name in names if name in record.bins}


def bins_after(bins: dict[str, Bin], operations: list[Operation]) -> dict[str, Bin]:
    """Return the bins of a record after writes; writing an empty value removes the bin."""
    after = dict(bins)
    for operation in operations:
        if operation.particle == NOTHING:
            after.pop(operation.name, None)
        else:
            after[operation.name] = (operation.particle, operation.value)
    return after


def holds(filter_bytes: bytes, bins: dict[str, Bin]) -> bool:
    """Return whether a record passes a filter expression of and, or, not and comparisons."""
    expression, _ = _unpacked(filter_bytes, 0)
    return bool(_value_of(expression, bins))


def _read_fields(body: bytes, offset: int, count: int) -> tuple[dict[int, bytes], int]:
    found: dict[int, bytes] = {}
    for _ in range(count):
        (size,) = unpack_from(">I", body, offset)
        found[body[offset + 4]] = body[offset + 5 : offset + 4 + size]
        offset += 4 + size
    return found, offset


def _read_operations(body: bytes, offset: int, count: int) -> tuple[list[Operation], int]:
    parsed: list[Operation] = []
    for _ in range(count):
        size, kind, particle, _, name_length = unpack_from(">IBBBB", body, offset)
        start = offset + 8 + name_length
        name = body[offset + 8 : start].decode()
        parsed.append(Operation(kind, particle, name, body[start : offset + 4 + size]))
        offset += 4 + size
    return parsed, offset


def _value_of(node: object, bins: dict[str, Bin]) -> object:
    if not isinstance(node, list):
        return node
    code, *operands = node
    if code == 81:  # bin: result type, name
        return _decoded(bins.get(operands[1]))
    if code == 82:  # type of a bin: name; 0 is "no such bin"
        return bins[operands[0]][0] if operands[0] in bins else 0
    values = [_value_of(operand, bins) for operand in operands]
    if code in {16, 17, 18}:
        return {16: all(values), 17: any(values), 18: not values[0]}[code]
    return _compared(code, *values)


def _compared(code: int, left: object, right: object) -> bool:
    if left is None or right is None:
        return False  # an absent bin makes a comparison unknown
    if code in {1, 2}:
        return (left == right) is (code == 1)
    assert isinstance(left, int)
    assert isinstance(right, int)
    return {3: left > right, 4: left >= right, 5: left < right, 6: left <= right}[code]


def _decoded(value: Bin | None) -> object:
    if value is None:
        return None
    particle, content = value
    if particle == INTEGER:
        return int.from_bytes(content, "big", signed=True)
    return content.decode() if particle == STRING else content


_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}
_NUMBERS = {0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q", 0xD0: ">b", 0xD1: ">h"} | {
    0xD2: ">i",
    0xD3: ">q",
    0xCA: ">f",
    0xCB: ">d",
}


def _unpacked(content: bytes, at: int) -> tuple[object, int]:
    """Read one msgpack value. String values start with their particle type."""
    head = content[at]
    if head <= 0x7F or head >= 0xE0:
        return head if head <= 0x7F else head - 0x100, at + 1
    if head in _CONSTANTS:
        return _CONSTANTS[head], at + 1
    if head in _NUMBERS:
        number = Struct(_NUMBERS[head])
        return number.unpack_from(content, at + 1)[0], at + 1 + number.size
    if head & 0xF0 == 0x90:
        items: list[object] = []
        at += 1
        for _ in range(head & 0x0F):
            item, at = _unpacked(content, at)
            items.append(item)
        return items, at
    return _unpacked_text(content, at)


def _unpacked_text(content: bytes, at: int) -> tuple[str, int]:
    head = content[at]
    is_short = head & 0xE0 == 0xA0
    assert is_short or head in {0xC4, 0xD9}, f"msgpack head {head:#x} is not expected here"
    length, start = (head & 0x1F, at + 1) if is_short else (content[at + 1], at + 2)
    text = content[start : start + length]
    return text.removeprefix(b"\3").decode(), start + length
