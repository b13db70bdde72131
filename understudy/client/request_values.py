"""The values in a request: features are taken exactly or refused, ids are strings."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from understudy.scoring.v1 import scoring_pb2 as pb

FeatureScalar = float | int | bool | str
Features = Mapping[str, FeatureScalar]

_SHOWN_CHARACTERS = 80
_LEAST, _BEYOND = -(2**63), 2**63  # no range: it is searched number by number for an IntEnum


def feature_values(features: Features, where: str = "features") -> dict[str, pb.FeatureValue]:
    """Return features as messages; a numpy scalar is the number that it holds.

    Raises:
        TypeError: a value is not a string, boolean or number, or a name is not a string.
        ValueError: an integer needs more than 64 bits, or a text is not Unicode.
    """
    return {
        id_text(name, f"name in {where}"): _feature_value(value, f"{where}[{name!r}]")
        for name, value in features.items()
    }


def id_text(value: Any, where: str) -> str:
    """Return an id. Converting one would be a guess: 7, 7.0 and "007" may be one entity or three.

    Raises:
        TypeError: it is not a string.
        ValueError: it is not Unicode.
    """
    if not isinstance(value, str):
        raise TypeError(f"{where}: read {_shown(value)}; accepted: a string")
    return _unicode(value, where)


def optional_id(value: Any, where: str) -> str | None:
    """Return an id or None. Raises the error of `id_text`."""
    return None if value is None else id_text(value, where)


def id_texts(ids: Mapping[str, str], where: str) -> dict[str, str]:
    """Return ids by entity type. Raises the error of `id_text`."""
    return {
        id_text(kind, f"name in {where}"): id_text(value, f"{where}[{kind!r}]")
        for kind, value in ids.items()
    }


def check_ids(ids: Iterable[Any], where: str) -> None:
    """Check that all are strings. Raises the error of `id_text`."""
    for each in ids:
        id_text(each, where)


def label_number(value: Any, where: str) -> float:
    """Return a label as it is sent.

    Raises:
        TypeError: it is not a number.
        ValueError: it is absent, or too large for a float.
    """
    # None would become a message without a label, which the server refuses, far from the cause.
    if value is None:
        raise ValueError(f"{where}: read None; accepted: a number")
    number = _without_numpy(value)
    if not isinstance(number, float | int | Decimal):
        raise TypeError(f"{where}: read {_shown(value)}; accepted: a number")
    try:
        return float(number)
    except OverflowError as error:
        raise ValueError(f"{where}: read {_shown(value)}; accepted: a 64-bit float") from error


def _feature_value(value: Any, where: str) -> pb.FeatureValue:
    value = _without_numpy(value)
    match value:
        case bool():  # before int: a bool is also an int
            return pb.FeatureValue(flag=value)
        case str():
            return pb.FeatureValue(text=_unicode(value, where))
        case int() if _LEAST <= value < _BEYOND:
            return pb.FeatureValue(integer=value)
        case int():
            raise ValueError(f"{where}: read {_shown(value)}; accepted: a 64-bit integer")
        case float():
            return pb.FeatureValue(number=value)
        case _:
            accepted = "a number, a boolean or a string"
            raise TypeError(f"{where}: read {_shown(value)}; accepted: {accepted}")


def _unicode(text: str, where: str) -> str:
    """Return the text. Protobuf refuses half of a surrogate pair too, but names no field."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        accepted = "text without lone surrogates, which UTF-8 cannot encode"
        raise ValueError(f"{where}: read {_shown(text)}; accepted: {accepted}") from error
    return text


def _without_numpy(value: Any) -> Any:
    """Return the number that a numpy scalar holds, and others as they are; numpy is no dependency."""
    if getattr(value, "shape", None) != ():
        return value
    # The item of a time in nanoseconds would be an integer, that of one in days a date.
    is_time = getattr(getattr(value, "dtype", None), "kind", None) in ("m", "M")
    return value if is_time else value.item()


def _shown(value: Any) -> str:
    return f"{type(value).__name__} {value!r}"[:_SHOWN_CHARACTERS]
