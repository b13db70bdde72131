"""Inspection of an artifact in a separate process: foreign models never load in the registry."""

import asyncio
import os
from asyncio.subprocess import DEVNULL, PIPE
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from understudy.provenance.findings import Finding
from understudy.provenance.record import Tensor
from understudy.runtime.supervision.foreign_environment import environment_for_foreign_code
from understudy.runtime.supervision.python_command import bound_python_command

_STDERR_SHOWN_CHARACTERS = 300


class Inspection(BaseModel):
    """The findings of a process that loaded the model. Fields that it did not reach are empty."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    problems: tuple[Finding, ...] = ()
    opsets: dict[str, int] = {}
    ir_version: int = 0
    producer: str = ""
    inputs: tuple[Tensor, ...] = ()
    outputs: tuple[Tensor, ...] = ()
    golden_rows: int = 0
    golden_differences: dict[str, float] = {}  # the largest absolute difference per golden output
    onnxruntime: str = ""


@dataclass(frozen=True, slots=True)
class InspectionLimits:
    timeout_s: float
    max_bytes: int  # address space of the process


class Inspector:
    """Inspects a few artifacts at a time; others wait. For a single event loop."""

    def __init__(self, limits: InspectionLimits, *, at_once: int) -> None:
        self._limits = limits
        self._places = asyncio.Semaphore(at_once)

    async def inspect(self, directory: Path) -> Inspection:
        async with self._places:
            return await inspect(directory, self._limits)


async def inspect(directory: Path, limits: InspectionLimits) -> Inspection:
    """Load the model in `directory`, replay its golden vectors, and return the findings.

    A model that crashes its process, or needs more time or memory than `limits`, gives a
    finding. On return, and on cancellation, the process has ended.
    """
    process = await asyncio.create_subprocess_exec(
        *bound_python_command("-m", "understudy.provenance.inspect_artifact"),
        str(directory),
        str(limits.max_bytes),  # the process limits itself: none of our code runs after a fork
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
        env=environment_for_foreign_code(os.environ),
    )
    try:
        async with asyncio.timeout(limits.timeout_s):
            stdout, stderr = await process.communicate()
    except TimeoutError:
        return _failed(f"no end within {limits.timeout_s:g} s", "a model that loads and runs")
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()  # reaps the process and closes its pipes
    if process.returncode != 0:
        said = stderr.decode(errors="replace").strip()[-_STDERR_SHOWN_CHARACTERS:]
        return _failed(f"process ended with {process.returncode}: {said}", "a model that loads")
    try:
        return Inspection.model_validate_json(stdout)
    except ValidationError:
        return _failed("no readable result", "a model that loads and runs")


def _failed(read: str, wanted: str) -> Inspection:
    return Inspection(problems=(Finding("artifact.files", read, wanted),))
