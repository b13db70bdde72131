"""Helpers that run the load checks."""

from pathlib import Path

from understudy.artifact.expectation import Expectation
from understudy.artifact.load_checks import CheckedArtifact, CheckOptions, check_artifact
from understudy.artifact.session_options import SessionOptions

SESSION = SessionOptions(arena=True)
CHECKS = CheckOptions(session=SESSION, golden_tolerance=1e-4, require_golden=False, warm_rows=2)


def check(source: Path, expected: Expectation | None = None) -> CheckedArtifact:
    return check_artifact(source, expected or Expectation(), CHECKS)
