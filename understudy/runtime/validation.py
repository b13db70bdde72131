"""Validation errors of pydantic, converted to our faults."""

from typing import TYPE_CHECKING

from pydantic import ValidationError

from understudy.domain.errors import Fault

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_PREFIXES = ("Input should be ", "Value error, ")


def faults_of(error: ValidationError, *, root: str = "") -> list[Fault]:
    """Return all faults of `error`, each with its path below `root`, e.g. "rules[2].name"."""
    return [_fault(each, root) for each in error.errors()]


def _fault(each: "ErrorDetails", root: str) -> Fault:
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in each["loc"])
    path = f"{root}{''.join(parts)}".removeprefix(".")
    if each["type"] == "missing":
        return Fault(path, "nothing", "a value")
    if not each["loc"] and isinstance(each["input"], dict) and each["type"] == "value_error":
        # The input is all values, including secrets.
        return Fault(path, "values that contradict each other", accepted(each["msg"]))
    return Fault.of(path, read=each["input"], accepted=accepted(each["msg"]))


def accepted(message: str) -> str:
    """Return the requirement in pydantic's `message`."""
    for prefix in _PREFIXES:
        message = message.removeprefix(prefix)
    return message
