"""Look into an artifact from a process of its own: foreign models never load in the registry."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from registry.provenance.findings import Finding
from registry.provenance.record import Tensor

_STDERR_SHOWN_CHARACTERS = 300


class Inspection(BaseModel):
    """What a process that loaded the model saw. The fields are empty where it came not so far."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    problems: tuple[Finding, ...] = ()
    opsets: dict[str, int] = {}
    ir_version: int = 0
    producer: str = ""
    inputs: tuple[Tensor, ...] = ()
    outputs: tuple[Tensor, ...] = ()
    golden_rows: int = 0
    golden_difference: float = 0.0  # largest absolute difference of the replay
    onnxruntime: str = ""


@dataclass(frozen=True, slots=True)
class InspectionLimits:
    timeout_s: float
    max_bytes: int  # address space of the process


def inspect(directory: Path, limits: InspectionLimits) -> Inspection:
    """Return what loading the model in `directory` and replaying its golden vectors shows.

    A model that crashes its process, or needs more time or memory than `limits`, is a problem
    of the model and found as such.
    """
    try:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "registry.provenance.inspect_artifact",
                str(directory),
                str(limits.max_bytes),  # it confines itself: nothing of ours runs after a fork
            ],
            capture_output=True,
            timeout=limits.timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return _failed(f"no end within {limits.timeout_s:g} s", "a model that loads and runs")
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()[-_STDERR_SHOWN_CHARACTERS:]
        return _failed(f"process ended with {done.returncode}: {said}", "a model that loads")
    try:
        return Inspection.model_validate_json(done.stdout)
    except ValidationError:
        return _failed("no readable result", "a model that loads and runs")


def _failed(read: str, wanted: str) -> Inspection:
    return Inspection(problems=(Finding("artifact.files", read, wanted),))
