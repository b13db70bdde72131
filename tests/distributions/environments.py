"""Virtual environments, and installations into them."""

import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

LIMIT_S = 1_200.0  # package indexes and busy machines are slow
# These would let an environment import from this checkout.
_OURS = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment. Its programs run in `folder`, outside of any checkout."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def site_packages(self) -> Path:
        (found,) = self.folder.glob("lib/python*/site-packages")
        return found

    def run(self, *command: str | Path) -> str:
        """Return the output of a command of the environment, e.g. `run("python", "-V")`."""
        program, *arguments = command
        return output_of([self.folder / "bin" / program, *arguments], cwd=self.folder)

    def install(self, *requirements: str | Path) -> None:
        """Install from the package indexes that pip is configured for."""
        self.run("python", "-m", "pip", "install", "--quiet", *requirements)

    def distributions(self) -> dict[str, str]:
        """Return the version of each distribution, without the installer itself."""
        listed = self.run("python", "-m", "pip", "list", "--format=freeze", "--exclude=pip")
        pins = dict(line.split("==") for line in listed.splitlines())
        pins.pop("setuptools", None)  # part of every new environment of Python 3.11
        return {canonical_name(name): version for name, version in pins.items()}


def canonical_name(distribution: str) -> str:
    """Return the normalized name: `-`, `_` and `.` are interchangeable in it."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def new_environment(folder: Path, interpreter: str | Path = sys.executable) -> Environment:
    output_of([interpreter, "-m", "venv", folder])
    return Environment(folder)


def offline_environment(folder: Path, *wheels: Path) -> Environment:
    """Return an environment with `wheels`; their dependencies come from the running environment.

    Python reads .pth files only in an environment's own site-packages, so the editable installation
    of this checkout is not inherited.
    """
    output_of([sys.executable, "-m", "venv", "--without-pip", folder])
    environment = Environment(folder)
    output_of(
        [
            *(sys.executable, "-m", "pip", "--python", environment.python),
            *("install", "--quiet", "--no-index", "--no-deps"),
            *wheels,
        ]
    )
    shared = environment.site_packages / "shared.pth"
    shared.write_text(sysconfig.get_path("purelib") + "\n")
    return environment


def output_of(command: Sequence[str | Path], *, cwd: Path | None = None) -> str:
    """Return the output of `command`.

    Raises:
        AssertionError: the command failed; the message has its output.
    """
    done = subprocess.run(
        command,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
        env={name: value for name, value in os.environ.items() if name not in _OURS},
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout
