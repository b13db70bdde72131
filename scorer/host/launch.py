"""The start of the process of one place, and the reason if it refused to serve."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

from scorer.refusal_file import Refusal, read_refusal
from scorer.settings import ScorerSettings
from understudy.artifact.expectation import expectation_of, write_expectation
from understudy.domain.snapshots import VersionSpec
from understudy.runtime.exit_codes import ARTIFACT_REFUSED, USAGE
from understudy.runtime.span_export import scorer_span_environment
from understudy.runtime.supervision.child import Child, ChildSpec, start_child
from understudy.runtime.supervision.ending import Ending
from understudy.runtime.supervision.foreign_environment import environment_for_foreign_code
from understudy.runtime.transport.settings import environment_of
from understudy.runtime.transport.transport import Transport

_ONE_EACH = {"SCORER_LISTEN", "SCORER_METRICS_PORT"}  # scorers of a host cannot share these
_SETTINGS = ScorerSettings.model_config.get("env_prefix", "")


@dataclass(frozen=True, slots=True)
class LaunchOptions:
    """Options of a scorer process besides its version."""

    address: str
    metrics_port: int | None
    drain_grace_s: float
    cpus: int | None  # number of CPUs while serving; None: it asks the system
    transport: Transport


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
        """Return the reason for which the process refused its artifact or its settings.

        None if it ended for another reason.
        """
        if ending.exit_code not in {ARTIFACT_REFUSED, USAGE}:
            return None
        return read_refusal(self._status_file) or Refusal(f"{ending.why}; see the scorer's log")

    def clean_up(self) -> None:
        for path in (self._expectation_file, self._status_file):
            path.unlink(missing_ok=True)

    def _environment(self) -> dict[str, str]:
        """Return the environment of a scorer, which runs foreign models.

        It has no variables of this process but settings of scorers, those of the export of spans
        without its secrets, and those that libraries need.
        """
        settings = {
            name: value
            for name, value in os.environ.items()
            if name.startswith(_SETTINGS)
            and not name.startswith(ScorerSettings.other_prefixes)
            and name not in _ONE_EACH
        }
        own = {
            f"{_SETTINGS}DRAIN_GRACE_S": str(self._options.drain_grace_s),
            **environment_of(self._options.transport, prefix=_SETTINGS),
        }
        spans = scorer_span_environment(os.environ)
        return {**environment_for_foreign_code(os.environ), **spans, **settings, **own}


def _option(name: str, value: int | None) -> tuple[str, ...]:
    return () if value is None else (name, str(value))
