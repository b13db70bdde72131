"""A disk that does not answer, as seen by a process that is started with its environment."""

import shutil
import subprocess
from pathlib import Path

import pytest

_SOURCE = Path(__file__).with_suffix(".c")
OPERATIONS = ("write", "fsync", "rename", "open", "close", "mkdir", "unlink", "stat")


class StallingDisk:
    """Holds up chosen operations below `stalled`, for as long as a file per operation exists."""

    def __init__(self, folder: Path, stalled: Path) -> None:
        """Compile the library into `folder`; without a compiler the test is skipped."""
        compiler = shutil.which("cc")
        if compiler is None:
            pytest.skip("needs a C compiler, to hold up the calls of the C library")
        built = folder / "stalling_disk.so"
        options = ("-shared", "-fPIC", "-O1", "-o", str(built), str(_SOURCE), "-ldl")
        subprocess.run([compiler, *options], check=True)
        self.stalls = folder / "stalls"
        self.stalls.mkdir()
        self.environment = {
            "LD_PRELOAD": str(built),
            "STALLED_ROOT": str(stalled),
            "STALLS": str(self.stalls),
        }

    def stall(self, *operations: str) -> None:
        for each in operations:
            (self.stalls / each).touch()

    def resume(self, *operations: str) -> None:
        for each in operations:
            (self.stalls / each).unlink()

    def has_held_up(self, *operations: str) -> bool:
        """Return whether one of the operations has been held up since the start."""
        return any((self.stalls / f"{each}.hit").exists() for each in operations)
