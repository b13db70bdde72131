"""The facts that a watcher keeps although a snapshot does not mention them. Pure.

Unheard-of is not gone. A registry that was restored, or has just started elsewhere, has no report of a
host whose scorers answer. Only the host itself, or a revision, ends the use of a scorer. The acting
champions are kept for the same reason.
"""

from dataclasses import replace

from understudy.domain.deployments import versions_to_run
from understudy.domain.snapshots import News, ScorerHost, ScorerState, Snapshot
from understudy.domain.versions import VersionRef


def with_unheard(believed: Snapshot | None, received: Snapshot) -> Snapshot:
    """Return `received`, completed with the ready scorers of hosts of which it has no report.

    It is also completed with the acting champions of models for which it names none.

    Args:
        believed: the state that the watcher has followed so far; None if there is none.
        received: the next state of the registry.
    """
    if believed is None:
        return received
    reported = {host.host_id for host in received.hosts}
    addresses = {each.address for each in received.scorers}
    wanted = _wanted_digests(received)
    kept = tuple(
        process
        for process in believed.scorers
        if process.state is ScorerState.READY
        and process.host_id not in reported
        and process.address not in addresses
        and wanted.get(process.ref) == process.artifact_digest
    )
    names = dict.fromkeys(process.host_id for process in kept)
    hosts = (ScorerHost(name, News.UNHEARD) for name in names)
    acting_in = {each.model for each in received.acting}
    return replace(
        received,
        scorers=(*received.scorers, *kept),
        hosts=(*received.hosts, *hosts),
        acting=(
            *received.acting,
            *(each for each in believed.acting if each.model not in acting_in),
        ),
    )


def _wanted_digests(snapshot: Snapshot) -> dict[VersionRef, str]:
    """Return the artifacts of the versions that the deployments need."""
    needed = {
        VersionRef(deployment.model, number)
        for deployment in snapshot.deployments
        for number in versions_to_run(deployment)
    }
    return {spec.ref: spec.artifact_digest for spec in snapshot.versions if spec.ref in needed}
