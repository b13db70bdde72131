"""A registered version before the gate once more: its files, its record and its load, as of now."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Engine

from registry.decisions.recorded_objects import Kind
from registry.server.live_state import LiveState
from registry.server.seating import Seating
from registry.store import marks, versions
from registry.store.artifacts import ArtifactStore
from registry.store.database import reading
from registry.store.versions import StoredVersion
from registry.version_past import surroundings_then
from understudy.domain.versions import VersionRef
from understudy.gate.gate import GateReport, examine
from understudy.gate.inspection import Inspector
from understudy.gate.submission import Submission, Surroundings
from understudy.gate.trial import trial_of_version
from understudy.provenance.findings import Finding
from understudy.provenance.inspection import Inspection


@dataclass(slots=True, eq=False)
class Recheck:
    """Judges registered versions by today's date and rules, for a limited number of callers."""

    live: LiveState
    engine: Engine
    artifacts: ArtifactStore
    inspector: Inspector
    seating: Seating
    onnxruntime: str  # installed version
    now: Callable[[], datetime]  # UTC

    async def report_on(self, ref: VersionRef, peer: str) -> GateReport:
        """Return the gate's report on a registered version.

        The gate compares with the versions and champions that were there when it was registered: a
        first version stays one.

        Raises:
            NotFoundError: there is no such version.
            OverloadedError: too many verifications are in progress.
            CorruptedError: a feature view of the version is not stored.
            UnavailableError: database or artifacts cannot be read.
        """
        with self.seating.seat(peer):
            stored, around = await self.live.run(lambda: self._known(ref))
            damages = await self.live.run(lambda: self._damages(stored))
            inspection = Inspection() if damages else await self._inspected(stored)
        report = examine(_submission(stored, inspection), around)
        return _with_damages(report, damages)

    def _damages(self, stored: StoredVersion) -> tuple[str, ...]:
        """Return the faults of the files; of a collected artifact that is gone, its collection."""
        ref, files = stored.spec.ref, stored.spec.files
        with reading(self.engine) as connection:
            mark = marks.of_model(connection, Kind.COLLECTION, ref.model).get(ref.number)
        if mark is not None and not all(self.artifacts.has(each.sha256) for each in files):
            return (f"collected at {mark}",)
        return tuple(self.artifacts.faults_of(files))

    async def _inspected(self, stored: StoredVersion) -> Inspection:
        with self.artifacts.stage() as staging:
            files = stored.spec.files
            await self.live.run(lambda: self.artifacts.link_into(staging, files))
            return await self.inspector.inspect(staging.directory, trial_of_version(stored.spec))

    def _known(self, ref: VersionRef) -> tuple[StoredVersion, Surroundings]:
        with reading(self.engine) as connection:
            stored = versions.get_version(connection, ref)
            return stored, surroundings_then(connection, stored, self.now(), self.onnxruntime)


def _submission(stored: StoredVersion, inspection: Inspection) -> Submission:
    return Submission(
        model=stored.spec.ref.model,
        files=stored.spec.files,
        record_json=stored.provenance_json,
        views=stored.spec.feature_views,
        score_output=stored.spec.score_output,
        inspection=inspection,
    )


def _with_damages(report: GateReport, damages: Sequence[str]) -> GateReport:
    """Return the report with a finding per damaged file, and nothing verified about the files."""
    if not damages:
        return report
    found = tuple(Finding("artifact.files", each, "the registered bytes") for each in damages)
    evidence = tuple(row for row in report.evidence if not row.field.startswith("artifact.files"))
    return replace(report, findings=(*found, *report.findings), evidence=evidence)
