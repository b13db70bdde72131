"""The reason why a child process ended, and whether a restart can help."""

import signal
from dataclasses import dataclass

from understudy.runtime.exit_codes import USAGE


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of a child: why it ended, or was killed by its supervisor."""

    why: str
    exit_code: int | None = None  # None if it did not exit on its own, or there was no process
    refused: bool = False  # a restart would end the same way


class ChildFailedError(Exception):
    """A child exited on its own, hangs, or must not be started. Its supervisor decides what follows."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.why)
        self.ending = ending


def ending_of(exit_code: int) -> Ending:
    """Classify an exit code; it is negative if a signal ended the child."""
    if exit_code == USAGE:
        return Ending(f"refused its settings (exit code {USAGE})", exit_code, refused=True)
    if exit_code < 0:
        return Ending(f"was killed by {signal.Signals(-exit_code).name}", exit_code)
    return Ending(f"exited with {exit_code}", exit_code)
