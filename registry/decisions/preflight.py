"""The versions that a change hands a part to, and the reasons why one of them cannot act. Pure."""

from collections.abc import Collection, Iterable, Iterator, Sequence

from understudy.domain.changes import Ended, Revision
from understudy.domain.deployments import Deployment
from understudy.domain.errors import InvalidInputError
from understudy.domain.placement import unplaced
from understudy.domain.snapshots import News, ScorerHost, ScorerProcess, ScorerState, VersionSpec
from understudy.features.decisions.feature_columns import columns_of
from understudy.features.decisions.request_needs import request_needs
from understudy.features.decisions.tensor_columns import lay_out

_FAILED = frozenset({ScorerState.REFUSED, ScorerState.GAVE_UP, ScorerState.FAILING})


def targets(before: Revision | None, after: Revision) -> frozenset[int]:
    """Return the versions that must be able to act before `after` may follow `before`.

    These are a new champion, and challengers and shadows that are new or get a larger share, and a
    new fallback version. A champion that stays is none of them: the end of a canary gives it more
    traffic, and must be possible whatever its artifact has become.
    """
    if isinstance(after, Ended):
        return frozenset()
    had = _shares(before) if isinstance(before, Deployment) else {}
    return frozenset(part[1] for part, bp in _shares(after).items() if bp > had.get(part, -1))


def _shares(deployment: Deployment) -> dict[tuple[str, int], int]:
    """Return the declared share by part and version, 0 for parts that have none."""
    shares = {("champion", deployment.champion): 0}
    shares |= {("challenger", c.version): c.weight_bp for c in deployment.challengers}
    shares |= {("shadow", s.version): s.sample_bp for s in deployment.shadows}
    if deployment.fallback.version is not None:
        shares["fallback", deployment.fallback.version] = 0
    return shares


def placement_faults(
    before: Revision | None, after: Revision, hosts: Iterable[ScorerHost]
) -> Iterator[str]:
    """Yield the reason why no host would run the versions of `after`; none if one reports that may.

    Asked of a change that hands out a part or asks for other labels. The end of a canary must be
    possible whatever the hosts are.
    """
    if isinstance(after, Ended):
        return
    asked_before = before.host_labels if isinstance(before, Deployment) else ()
    if after.host_labels != asked_before or targets(before, after):
        yield from _unplaced(after, hosts)


def unplaced_models(
    deployments: Iterable[Deployment], hosts: Collection[ScorerHost]
) -> tuple[str, ...]:
    """Return the deployments that no host which reports may run, with the reasons."""
    return tuple(text for each in deployments for text in _unplaced(each, hosts))


def _unplaced(deployment: Deployment, hosts: Iterable[ScorerHost]) -> Iterator[str]:
    reporting = {each.host_id: each.placement for each in hosts if each.news is News.REPORTING}
    if why := unplaced(deployment.model, deployment.host_labels, reporting):
        yield why


def layout_faults(spec: VersionSpec) -> Iterator[str]:
    """Yield the reasons why no router can lay out the features of a version."""
    try:
        columns = columns_of(spec.feature_set, spec.feature_views)
        features = [column.feature for column in columns]
        lay_out(spec.inputs, spec.feature_set, features, spec.column_inputs)
        request_needs(spec.feature_set, spec.feature_views, [out.name for out in spec.outputs])
    except InvalidInputError as error:
        yield from map(str, error.faults)


def is_loaded(spec: VersionSpec, processes: Sequence[ScorerProcess]) -> bool:
    """Return whether a ready scorer reports that it loaded exactly this artifact."""
    return any(
        each.state is ScorerState.READY and each.loaded_digest == spec.artifact_digest
        for each in processes
    )


def scorer_faults(processes: Sequence[ScorerProcess]) -> Iterator[str]:
    """Yield the failures of a version's scorers, as hosts report them; none if one is ready."""
    if any(each.serves for each in processes):
        return
    for each in processes:
        if each.has_other_artifact:
            yield f"its scorer on {each.host_id} loaded another artifact, {each.loaded_digest}"
        elif each.state in _FAILED:
            why = f": {each.last_error}" if each.last_error else ""
            yield f"its scorer on {each.host_id} has state {each.state.value}{why}"
