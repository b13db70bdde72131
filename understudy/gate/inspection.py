"""Inspection of an artifact in a separate process: foreign models never load in the registry."""

import asyncio
import os
from asyncio.subprocess import PIPE
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from understudy.artifact.onnx_model import is_out_of_memory_text
from understudy.gate.trial import Trial
from understudy.provenance.findings import Finding
from understudy.provenance.inspect_artifact import TOO_LARGE
from understudy.provenance.inspection import Inspection
from understudy.runtime.supervision.foreign_environment import environment_for_foreign_code
from understudy.runtime.supervision.python_command import bound_python_command

_STDERR_SHOWN_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class InspectionLimits:
    timeout_s: float
    max_bytes: int  # address space of the process


class Inspector:
    """Inspects a few artifacts at a time; others wait. For a single event loop."""

    def __init__(self, limits: InspectionLimits, *, at_once: int) -> None:
        self._limits = limits
        self._places = asyncio.Semaphore(at_once)

    async def inspect(self, directory: Path, trial: Trial) -> Inspection:
        async with self._places:
            return await inspect(directory, trial, self._limits)


async def inspect(directory: Path, trial: Trial, limits: InspectionLimits) -> Inspection:
    """Load the model in `directory`, try it as it will be used, and return the findings.

    A model that crashes its process, or needs more time or memory than `limits`, gives a
    finding. On return, and on cancellation, the process has ended.
    """
    process = await asyncio.create_subprocess_exec(
        *bound_python_command("-m", "understudy.gate.try_version"),
        str(directory),
        str(limits.max_bytes),  # the process limits itself: none of our code runs after a fork
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        env=environment_for_foreign_code(os.environ),
    )
    try:
        async with asyncio.timeout(limits.timeout_s):
            stdout, stderr = await process.communicate(trial.model_dump_json().encode())
    except TimeoutError:
        return _failed(f"no end within {limits.timeout_s:g} s", "a model that loads and runs")
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()  # reaps the process and closes its pipes
    if process.returncode != 0:
        said = stderr.decode(errors="replace").strip()[-_STDERR_SHOWN_CHARACTERS:]
        if is_out_of_memory_text(said):
            return Inspection(problems=(TOO_LARGE,))
        return _failed(f"process ended with {process.returncode}: {said}", "a model that loads")
    try:
        return Inspection.model_validate_json(stdout)
    except ValidationError:
        return _failed("no readable result", "a model that loads and runs")


def _failed(read: str, wanted: str) -> Inspection:
    return Inspection(problems=(Finding("artifact.files", read, wanted),))
