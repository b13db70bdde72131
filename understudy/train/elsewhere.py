"""A training that took place elsewhere: its facts replace those of the machine that imports it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

_CONVERSION = frozenset(("onnx", "onnxruntime", "skl2onnx", "onnxmltools", "onnxscript"))
_MACHINE = ("os", "cpu", "gpu")


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Facts of the training; an empty one is unknown there, and the gate asks for it."""

    ended_at: datetime  # UTC
    command_line: tuple[str, ...]
    python: str
    lockfile_sha256: str | None
    packages: Mapping[str, str]  # versions of the training's own
    machine: Mapping[str, str] = field(default_factory=dict)  # os, cpu, gpu

    def record_of(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Return a record that was captured here, with the facts of the training in their places.

        The conversion took place here, so that its packages are those of this machine.
        """
        here = record["environment"]
        converter = here["converter"]["name"]
        converting = {
            name: version
            for name, version in here["packages"].items()
            if name in _CONVERSION or name == converter
        }
        environment = {
            **{name: value for name, value in here.items() if name not in _MACHINE},
            **{name: value for name, value in self.machine.items() if value},
            "python": self.python,
            "lockfile_sha256": self.lockfile_sha256,
            "packages": dict(sorted({**self.packages, **converting}.items())),
        }
        code = {**record["code"], "command_line": list(self.command_line)}
        return {**record, "environment": environment, "code": code}
