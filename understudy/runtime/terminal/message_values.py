"""Protobuf messages as values for JSON: every field is present, under its own name."""

from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

_FOREIGN_PACKAGE = "google.protobuf"


def message_value(message: Message) -> dict[str, Any]:
    """Return the fields of `message`; a field that is not set is None, a 64-bit integer an int.

    protobuf's own JSON writes 64-bit integers and NaN as strings, and omits fields that are not
    set.
    """
    return {field.name: _field_value(message, field) for field in message.DESCRIPTOR.fields}


def _field_value(message: Message, field: Any) -> Any:
    if field.has_presence and not message.HasField(field.name):
        return None
    value = getattr(message, field.name)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        of_values = field.message_type.fields_by_name["value"]
        return {key: _single(of_values, value[key]) for key in value}
    if field.is_repeated:
        return [_single(field, each) for each in value]
    return _single(field, value)


def _single(field: Any, value: Any) -> Any:
    if field.message_type is not None:
        if field.message_type.file.package == _FOREIGN_PACKAGE:  # a timestamp and the like
            return MessageToDict(value)
        return message_value(value)
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        return value if known is None else known.name
    return value
