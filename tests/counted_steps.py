"""The work of Python code in executed lines: the same on every machine, however busy it is."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any


@dataclass(slots=True)
class Steps:
    """Lines executed by this thread, each turn of a loop or comprehension counted."""

    lines: int = 0


@contextmanager
def counting_steps() -> Iterator[Steps]:
    """Count the lines of frames that begin within the block."""
    steps = Steps()

    def count(_frame: FrameType, event: str, _argument: Any) -> Any:
        if event == "line":
            steps.lines += 1
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        yield steps
    finally:
        sys.settrace(before)
