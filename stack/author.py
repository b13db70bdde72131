"""The author's part of the demo: trainings recorded by `understudy.train`, as any author has them."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import distributions
from pathlib import Path
from shutil import copytree
from typing import Any

from stack.data_directory import DataDirectory
from stack.training import CONVERSION_TOLERANCE, KEPT_SHARE, MODEL, SEED, Candidate, Patients, fit
from understudy import train
from understudy.control.identity import default_actor
from understudy.domain.features import FeatureView
from understudy.domain.margins import Margins, Measure
from understudy.runtime.distribution import SERVING
from understudy.runtime.transport.transport import Transport

THRESHOLD = 0.5
MARGINS = Margins.of_sizes(Measure.AUC, {Measure.AUC: 0.02, Measure.BRIER: 0.01})  # of the verdict
_SOURCE = "https://archive.ics.uci.edu/dataset/17/breast+cancer+wisconsin+diagnostic"
_LICENCE = "CC BY 4.0 (UCI Machine Learning Repository, data set 17)"
_LABEL = "1: the biopsy of the mass was malignant; 0: benign"
# The samples were collected from 1984 on; the data set was donated in November 1995.
_WINDOW = (datetime(1984, 1, 1, tzinfo=UTC), datetime(1995, 11, 1, tzinfo=UTC))
_REVALIDATE_AFTER = timedelta(days=365)
_CODE = train.InstalledCode(SERVING, ("stack", "understudy"))
# The demo has one person at the keyboard; the second pair of eyes is played.
APPROVER = "demo-reviewer"


@dataclass(frozen=True, slots=True)
class Author:
    """The facts that are the same for all trainings of the demo."""

    directory: DataDirectory
    patients: Patients
    view: FeatureView
    registry: str  # HOST:PORT
    access: Transport | None = None  # None: as commands find it
    champion: str | None = train.AS_DEPLOYED  # to measure beside; None: there is none

    def trained(self, candidate: Candidate) -> train.Run:
        """Train, convert, prove and measure, also the champion; the caller closes the run.

        A copy of the artifact stays below `training/`.

        Raises:
            UnavailableError: the registry does not answer.
        """
        with ExitStack() as closing:
            run = closing.enter_context(self._started())
            x, y = self.patients.features, self.patients.is_malignant
            training, kept = self.patients.training_rows, self.patients.kept_rows
            model = fit(candidate, self.patients)
            run.data(
                (x[training], y[training]),
                (x[kept], y[kept]),
                window=_WINDOW,
                labels_matured_at=_WINDOW[1],
                split="stratified",
                seed=SEED,
                uri=_SOURCE,
                label=_LABEL,
                description=f"{KEPT_SHARE:.0%} of the patients kept, stratified by diagnosis",
            )
            run.model(model, tolerance=CONVERSION_TOLERANCE)
            run.evaluate(threshold=THRESHOLD, seed=SEED, champion=self.champion)
            run.policy(
                intended_use="Demonstrates Understudy; not for decisions about patients",
                decision_threshold=THRESHOLD,
                fallback_score=float(y[training].mean()),
                revalidate_by=datetime.now(UTC).date() + _REVALIDATE_AFTER,
                licence=_LICENCE,
            )
            copytree(run.artifact_dir, self.directory.training / "artifacts" / candidate.part)
            closing.pop_all()
            return run

    def _started(self) -> train.Run:
        return train.start_run(
            MODEL,
            features=[f"{self.view}:{feature.name}" for feature in self.view.features],
            seeds={"split": SEED},
            views=self.directory.training / "views.yaml",
            lockfile=self.directory.training / "environment.lock",
            registry=self.registry,
            access=self.access,
            owner="demo",
            author=default_actor(),
            contact=default_actor(),
            approver=APPROVER,
            directory=Path(__file__).parent,
            entry_point="stack.demo",
            installed=_CODE,
        )


def without_fields(record: Mapping[str, Any], paths: Sequence[str]) -> dict[str, Any]:
    """Return a copy of `record` that lacks the fields at `paths`, e.g. "data.training.content"."""
    copy = dict(record)
    for path in paths:
        group, _, rest = path.partition(".")
        if rest:
            copy[group] = without_fields(copy[group], [rest])
        else:
            del copy[group]
    return copy


def write_lockfile(path: Path) -> None:
    """Write name and version of every installed distribution: the actual environment."""
    pins = {f"{each.metadata['Name']}=={each.version}" for each in distributions()}
    path.write_text("\n".join(sorted(pins, key=str.lower)) + "\n")
