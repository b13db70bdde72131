"""A child process that loads an artifact and tries it; it prints an Inspection as JSON."""

import os
import resource
import sys
from pathlib import Path

from understudy.gate.golden_trial import try_golden_rows
from understudy.gate.trial import Trial
from understudy.provenance.inspect_artifact import inspect_directory
from understudy.provenance.inspection import Inspection

_NICE = 10  # serving processes on this machine have priority


def try_version(directory: Path, trial: Trial) -> Inspection:
    """Return the facts about the artifact in `directory`, and the problems of its use."""
    return inspect_directory(
        directory,
        joins_rows=trial.joins_rows,
        try_out=lambda checked: try_golden_rows(trial, checked),
    )


def _confine(max_bytes: int) -> None:
    os.nice(_NICE)
    resource.setrlimit(resource.RLIMIT_AS, (max_bytes, max_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    _confine(int(sys.argv[2]))
    asked = Trial.model_validate_json(sys.stdin.buffer.read())
    sys.stdout.write(try_version(Path(sys.argv[1]), asked).model_dump_json())
