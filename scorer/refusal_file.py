"""The file in which a scorer leaves the reason why it refused to serve, for its host."""

import json
from dataclasses import dataclass
from pathlib import Path

from understudy.domain.errors import MOST_FAULTS, CorruptedError, InvalidInputError, UnderstudyError

_MOST_CHARACTERS = 1_000  # the registry cuts the reasons in reports there


@dataclass(frozen=True, slots=True)
class Refusal:
    """The reason for which a process refused its artifact or its settings."""

    why: str
    corrupted: bool = False  # the artifact does not match the registered one


def write_refusal(path: Path, error: UnderstudyError) -> None:
    """Write the reason.

    Raises:
        OSError: the file cannot be written.
    """
    path.write_text(json.dumps({"kind": type(error).__name__, "why": whole_reason(error)}))


def whole_reason(error: UnderstudyError) -> str:
    """Return the reason without the cuts of the error's text, which is made for answers to callers.

    The point of a reason of ONNX Runtime often comes late.
    """
    if not isinstance(error, InvalidInputError):
        return str(error)[:_MOST_CHARACTERS]
    shown = [
        f"{fault.field}: read {fault.read}; accepted: {fault.accepted}"
        for fault in error.faults[:MOST_FAULTS]
    ]
    return "; ".join(shown)[:_MOST_CHARACTERS]


def read_refusal(path: Path) -> Refusal | None:
    """Return the reason; None if the process left none."""
    try:
        facts = json.loads(path.read_text())
        return Refusal(str(facts["why"]), corrupted=facts["kind"] == CorruptedError.__name__)
    except (OSError, ValueError, KeyError):
        return None
