"""Messages of any kind for fuzzing: random values in valid fields, damaged bytes, too many values.

From a seeded generator, and not from hypothesis: a hundred thousand messages in bounded time.
"""

from collections.abc import Sequence
from random import Random
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message_factory import GetMessageClass

_DEEPEST = 4
_TEXTS = ("", "fraud", "user", "u1", "amount", "x", "doubler", "1", "0", "\0", "é", "n" * 300)
_DIGEST = "0" * 64
_INTEGERS = (
    0,
    1,
    2,
    7,
    64,
    10_000,
    2**31 - 1,
    2**32 - 1,
    2**63 - 1,
    2**64 - 1,
    -1,
    -(2**31),
    -(2**63),
)
_FLOATS = (0.0, 1.0, -1.0, 0.5, 1e-300, 1e300, float("inf"), float("-inf"), float("nan"))
_STRANGE = (
    b"\x00",
    b"\xff" * 11,  # a number that does not end
    b"\x0b\x0c",  # a group
    b"\x0b" * 200,  # many groups that do not end
    b"\x0a\xff\xff\xff\xff\x0f",  # a text of 4 GiB
    b"\x0a\x02\xff\xfe",  # a text that is not UTF-8
    b"\xf8\xff\xff\xff\x0f\x01",  # the largest field number
    b"\x0f\x00",
)
_INT_TYPES = {
    FieldDescriptor.TYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_SINT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_SFIXED32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.TYPE_FIXED32: (0, 2**32 - 1),
    FieldDescriptor.TYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_SINT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_SFIXED64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_UINT64: (0, 2**64 - 1),
    FieldDescriptor.TYPE_FIXED64: (0, 2**64 - 1),
    FieldDescriptor.TYPE_ENUM: (-(2**31), 2**31 - 1),
}


def any_bytes(kind: Descriptor, random: Random) -> bytes:
    """Return a message of `kind`, valid, damaged, cut, or no message at all."""
    form = random.random()
    if form < 0.05:
        return random.randbytes(random.randrange(200))
    valid: bytes = _message(kind, random, 0).SerializePartialToString()
    return valid if form < 0.45 else damaged(valid, random)


def damaged(valid: bytes, random: Random) -> bytes:
    """Return `valid` with some bytes changed, cut out, inserted or repeated."""
    content = bytearray(valid)
    for _ in range(random.randint(1, 3)):
        at = random.randrange(len(content) + 1)
        match random.randrange(6):
            case 0:
                content[at : at + 1] = random.randbytes(1)
            case 1:
                del content[at : at + random.randint(1, 8)]
            case 2:
                content[at:at] = random.randbytes(random.randint(1, 8))
            case 3:
                content[at:at] = random.choice(_STRANGE)
            case 4:
                content[at:at] = content[at : at + 40] * random.randint(1, 3)
            case _:
                del content[at:]
    return bytes(content)


def too_many(kind: Descriptor, size_bytes: int) -> Sequence[bytes]:
    """Return a message per length-delimited field that is empty as often as `size_bytes` allow."""
    tags = [_tag_of(field) for field in kind.fields if field.type in _DELIMITED] or [b"\x0a"]
    return [(tag + b"\x00") * (size_bytes // (len(tag) + 1)) for tag in tags]


_DELIMITED = (
    FieldDescriptor.TYPE_STRING,
    FieldDescriptor.TYPE_BYTES,
    FieldDescriptor.TYPE_MESSAGE,
)


def _tag_of(field: FieldDescriptor) -> bytes:
    tag = field.number << 3 | 2
    return bytes([tag]) if tag < 0x80 else bytes([tag & 0x7F | 0x80, tag >> 7])


def _message(kind: Descriptor, random: Random, depth: int) -> Any:
    message = GetMessageClass(kind)()
    for field in kind.fields:
        if random.random() < 0.4 or depth > _DEEPEST:
            continue
        if not field.is_repeated:
            _set(message, field, random, depth)
        elif field.message_type is not None and field.message_type.GetOptions().map_entry:
            _fill_map(getattr(message, field.name), field.message_type, random, depth)
        else:
            entries = [_value(field, random, depth) for _ in range(random.randrange(4))]
            getattr(message, field.name).extend(entries)
    return message


def _set(message: Any, field: FieldDescriptor, random: Random, depth: int) -> None:
    value = _value(field, random, depth)
    if field.message_type is None:
        setattr(message, field.name, value)
    else:
        getattr(message, field.name).CopyFrom(value)
        getattr(message, field.name).SetInParent()


def _fill_map(entries: Any, entry: Descriptor, random: Random, depth: int) -> None:
    key_field, value_field = entry.fields_by_name["key"], entry.fields_by_name["value"]
    for _ in range(random.randrange(4)):
        key, value = _value(key_field, random, depth), _value(value_field, random, depth)
        if value_field.message_type is None:
            entries[key] = value
        else:
            entries[key].CopyFrom(value)


def _value(field: FieldDescriptor, random: Random, depth: int) -> Any:
    if field.message_type is not None:
        return _message(field.message_type, random, depth + 1)
    if field.type in _INT_TYPES:
        return _integer(field, random)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return random.randbytes(random.choice((0, 1, 8, 300)))
    return random.choice(_VALUES[field.type])


def _integer(field: FieldDescriptor, random: Random) -> int:
    least, most = _INT_TYPES[field.type]
    if field.enum_type is not None and random.random() < 0.8:
        return random.choice(list(field.enum_type.values_by_number))
    return random.choice([each for each in _INTEGERS if least <= each <= most])


_VALUES: dict[int, tuple[Any, ...]] = {
    FieldDescriptor.TYPE_STRING: (*_TEXTS, _DIGEST),
    FieldDescriptor.TYPE_BOOL: (False, True),
    FieldDescriptor.TYPE_DOUBLE: _FLOATS,
    FieldDescriptor.TYPE_FLOAT: (0.0, 1.5, float("inf"), float("nan")),
}
