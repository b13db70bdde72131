"""The start of the process of one place, and the reason if it refused its artifact."""

import json
import os
import signal
from dataclasses import dataclass
from pathlib import Path

from understudy.artifact.expectation import expectation_of, write_expectation
from understudy.domain.errors import CorruptedError
from understudy.domain.snapshots import VersionSpec
from understudy.runtime.exit_codes import ARTIFACT_REFUSED
from understudy.runtime.supervision.child import Child, ChildSpec, start_child
from understudy.runtime.supervision.ending import Ending

_ONE_EACH = {"SCORER_LISTEN", "SCORER_METRICS_PORT"}  # scorers of a host cannot share these


@dataclass(frozen=True, slots=True)
class LaunchOptions:
    """Options of a scorer process besides its version."""

    address: str
    metrics_port: int | None
    drain_grace_s: float
    cpus: int | None  # number of CPUs while serving; None: it asks the system


@dataclass(frozen=True, slots=True)
class Refusal:
    """The reason for which a process refused its artifact."""

    why: str
    corrupted: bool = False  # the artifact does not match the registered one


class Launcher:
    """Starts one version repeatedly; `directory` has the files exchanged with the process."""

    def __init__(
        self, name: str, version: VersionSpec, directory: Path, options: LaunchOptions
    ) -> None:
        self._version = version
        self._options = options
        self._expectation_file = directory / f"{name}.expect.json"
        self._status_file = directory / f"{name}.status.json"

    async def start(self, folder: Path) -> Child:
        """Start a process that serves the artifact in `folder` and dies with this one."""
        write_expectation(self._expectation_file, expectation_of(self._version))
        self._status_file.unlink(missing_ok=True)
        options = self._options
        arguments = (
            *("-m", "scorer", "serve", str(folder)),
            *("--name", self._version.ref.model),
            *("--version-number", str(self._version.ref.number)),
            *("--listen", options.address),
            *("--expect", str(self._expectation_file)),
            *("--status-file", str(self._status_file)),
            *_option("--metrics-port", options.metrics_port),
            *_option("--cpus", options.cpus),
        )
        # SIGKILL, because a process that hangs or loads would not react to SIGTERM.
        return await start_child(
            ChildSpec(arguments, environment=self._environment(), orphaned_by=signal.SIGKILL)
        )

    def refusal_of(self, ending: Ending) -> Refusal | None:
        """Return the reason for a refused artifact; None if the process ended for another reason."""
        return self._refusal() if ending.exit_code == ARTIFACT_REFUSED else None

    def clean_up(self) -> None:
        for path in (self._expectation_file, self._status_file):
            path.unlink(missing_ok=True)

    def _environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if name not in _ONE_EACH}
        return {**inherited, "SCORER_DRAIN_GRACE_S": str(self._options.drain_grace_s)}

    def _refusal(self) -> Refusal:
        try:
            facts = json.loads(self._status_file.read_text())
            why, kind = str(facts["why"]), facts["kind"]
        except (OSError, ValueError, KeyError):
            return Refusal("artifact refused; see the scorer's log")
        return Refusal(why, corrupted=kind == CorruptedError.__name__)


def _option(name: str, value: int | None) -> tuple[str, ...]:
    return () if value is None else (name, str(value))
