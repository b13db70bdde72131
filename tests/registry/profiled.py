"""Counts of calls of Python functions, which say what work cost without a clock."""

import sys
from collections.abc import Callable
from types import FrameType


def calls_of(function: Callable[..., object] | None, act: Callable[[], object]) -> int:
    """Return how often `act` calls `function`; without one, how often it calls anything."""
    calls = 0

    def count(frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call" and (function is None or frame.f_code is function.__code__)

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        act()
    finally:
        sys.setprofile(before)
    return calls
