"""The preflight of versions: whether they can act, found out before a revision gives them a part."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Engine

from registry.decisions.preflight import (
    is_loaded,
    layout_faults,
    placement_faults,
    scorer_faults,
    targets,
)
from registry.server.live_state import LiveState
from registry.store import loads, versions
from registry.store.artifacts import ArtifactStore
from registry.store.database import reading, writing
from understudy.domain.changes import Revision
from understudy.domain.errors import CorruptedError, RefusedError
from understudy.domain.snapshots import VersionSpec
from understudy.domain.versions import VersionRef
from understudy.gate.inspection import Inspector
from understudy.gate.trial import trial_of_version
from understudy.provenance.inspection import Inspection


@dataclass(slots=True, eq=False)
class Preflight:
    """Checks versions: the artifact's bytes, its views and layout, and that it loads.

    Bytes are hashed at each check. An artifact loads if a ready scorer reports its digest, or if this
    version of ONNX Runtime has loaded the same bytes before; otherwise a child process loads it now.
    """

    live: LiveState
    engine: Engine
    artifacts: ArtifactStore
    inspector: Inspector
    onnxruntime: str  # installed version

    async def check(self, before: Revision | None, after: Revision) -> None:
        """Check the versions that `after` gives a part.

        Raises:
            RefusedError: one of them cannot act, or no host may run them; with every reason.
        """
        if faults := await self.faults_of_change(before, after):
            raise RefusedError(
                f"{after.model} stays as it is, because a version cannot act: {'; '.join(faults)}"
            )

    async def faults_of_change(self, before: Revision | None, after: Revision) -> list[str]:
        """Return the reasons why versions cannot act that `after` gives a part."""
        refs = [VersionRef(after.model, number) for number in sorted(targets(before, after))]
        return [
            *placement_faults(before, after, self.live.observed.hosts()),
            *[f"{ref}: {fault}" for ref in refs for fault in await self.faults_of(ref)],
        ]

    async def faults_of(self, ref: VersionRef) -> list[str]:
        """Return the reasons why a version cannot act; empty if it can."""
        try:
            spec = await self.live.run(lambda: self._spec_of(ref))
        except CorruptedError as error:
            return [str(error)]
        processes = [each for each in self.live.scorers(ref.model) if each.ref == ref]
        faults = [*layout_faults(spec), *scorer_faults(processes)]
        damages = await self.live.run(lambda: list(self.artifacts.faults_of(spec.files)))
        if damages or faults or is_loaded(spec, processes):
            return [*damages, *faults]
        if await self.live.run(lambda: self._has_loaded(spec)):
            return []
        return await self._load(spec)

    def _spec_of(self, ref: VersionRef) -> VersionSpec:
        with reading(self.engine) as connection:
            return versions.get_version(connection, ref).spec

    def _has_loaded(self, spec: VersionSpec) -> bool:
        with reading(self.engine) as connection:
            return loads.is_recorded(connection, spec.artifact_digest, self.onnxruntime)

    async def _load(self, spec: VersionSpec) -> list[str]:
        with self.artifacts.stage() as staging:
            await self.live.run(lambda: self.artifacts.link_into(staging, spec.files))
            inspection = await self.inspector.inspect(staging.directory, trial_of_version(spec))
        faults = [*_load_faults(inspection, spec.golden_tolerance)]
        if not faults:
            await self.live.run(lambda: self._record(spec, inspection))
        return faults

    def _record(self, spec: VersionSpec, inspection: Inspection) -> None:
        with writing(self.engine) as connection:
            loads.add(connection, spec.artifact_digest, inspection.onnxruntime)


def _load_faults(inspection: Inspection, tolerance: float) -> Iterator[str]:
    for problem in inspection.problems:
        yield f"{problem.field} does not load: read {problem.read}; accepted: {problem.wanted}"
    for output, difference in inspection.golden_differences.items():
        if not difference <= tolerance:
            yield f"golden vectors differ by {difference:g} in {output}; accepted: {tolerance:g}"
