"""The conditions for retiring a version, and for using one that was retired or collected. Pure."""

from collections.abc import Collection, Mapping

from registry.decisions.recorded_objects import Kind
from understudy.domain.deployments import Deployment, versions_in_use
from understudy.domain.errors import RefusedError
from understudy.domain.versions import VersionRef

_STATES = {
    Kind.RETIREMENT: "was retired at {mark}; reinstate it first (understudy registry reinstate)",
    Kind.COLLECTION: (
        "has no artifact any more: it was collected at {mark}; register the same content again"
    ),
}


def check_may_retire(
    ref: VersionRef, deployment: Deployment | None, acting: int | None, retired: Collection[int]
) -> None:
    """Return if the version may be retired.

    Args:
        ref: the version.
        deployment: the current revision; None if the model is not deployed.
        acting: the version that acts as champion; None if none is known.
        retired: the versions of the model that are retired already.

    Raises:
        RefusedError: it is retired already, or takes a part.
    """
    if ref.number in retired:
        raise RefusedError(f"{ref} is retired already")
    if deployment is not None and ref.number in versions_in_use(deployment):
        raise RefusedError(
            f"{ref} takes a part in revision {deployment.revision}; a change must take the part first"
        )
    if ref.number == acting:
        raise RefusedError(f"{ref} acts as champion of {ref.model}, although it is not declared")


def check_usable(
    model: str, numbers: Collection[int], kind: Kind, marks: Mapping[int, object]
) -> None:
    """Return if no version to which a change gives a part has a mark that excludes it.

    Args:
        model: the model's name.
        numbers: the versions that get a part, or more of one.
        kind: retirement or collection.
        marks: of this kind, by version; their text has time, author and reason.

    Raises:
        RefusedError: one of them has.
    """
    refused = [number for number in sorted(numbers) if number in marks]
    if refused:
        raise RefusedError(
            "; ".join(f"{model}@{n} {_STATES[kind].format(mark=marks[n])}" for n in refused)
        )
