"""The state as watchers receive it, made from the stored and the observed one."""

from dataclasses import replace

from registry.server.observed import Observed
from registry.server.stored_state import StoredState
from understudy.domain.reports import ScorersReport
from understudy.domain.snapshots import ScorerProcess, Snapshot


def snapshot_of(stored: StoredState, observed: Observed, *, sequence: int) -> Snapshot:
    """Return the snapshot of a state."""
    return Snapshot(
        lineage=stored.identity.lineage,
        sequence=sequence,
        deployments=stored.deployments,
        versions=stored.versions,
        scorers=tuple(
            # An error text is for operators: status has it, and watchers do nothing with it.
            replace(each, last_error=None)
            for each in observed.scorers()
            if is_registered(stored, each)
        ),
        undeployed=stored.undeployed,
        epochs=stored.identity.epochs,
        succeeds=stored.identity.succeeds,
        hosts=observed.hosts(),
        acting=stored.acting,
    )


def is_registered(stored: StoredState, process: ScorerProcess) -> bool:
    """Return whether a scorer was told to serve the artifact of a registered version."""
    return process.artifact_digest == stored.artifact_digest_of(process.ref)


def is_wanted(stored: StoredState, report: ScorersReport) -> bool:
    """Return whether a report names a ready scorer of a version that a deployment needs."""
    needed = {spec.ref for spec in stored.versions}
    return any(
        each.serves and each.ref in needed and is_registered(stored, each)
        for each in report.processes
    )
