"""The Python versions on this machine."""

import os
import shutil
import subprocess
from pathlib import Path


def interpreter_of(minor: int) -> Path | None:
    """Return a working Python 3.`minor`; None when there is none."""
    name = f"python3.{minor}"
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = shutil.which(name)
    candidates = [
        *([Path(found)] if found else []),
        *sorted(pyenv.glob(f"versions/3.{minor}.*/bin/{name}")),
    ]
    return next((each for each in candidates if _runs(each)), None)


def _runs(interpreter: Path) -> bool:
    """Try it: pyenv has shims for versions that are not selected, and these fail."""
    done = subprocess.run([interpreter, "-c", ""], capture_output=True, check=False)
    return done.returncode == 0
