"""The file in which a scorer leaves the reason why it refused to serve, for its host."""

import json
from dataclasses import dataclass
from pathlib import Path

from understudy.domain.errors import CorruptedError, UnderstudyError


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
    path.write_text(json.dumps({"kind": type(error).__name__, "why": str(error)}))


def read_refusal(path: Path) -> Refusal | None:
    """Return the reason; None if the process left none."""
    try:
        facts = json.loads(path.read_text())
        return Refusal(str(facts["why"]), corrupted=facts["kind"] == CorruptedError.__name__)
    except (OSError, ValueError, KeyError):
        return None
