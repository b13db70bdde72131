"""The conditions for blocking a version, and for using one that is blocked. Pure."""

from collections.abc import Collection, Mapping, Sequence

from understudy.domain.deployments import Deployment
from understudy.domain.errors import RefusedError
from understudy.domain.versions import VersionRef


def check_may_block(
    ref: VersionRef, deployment: Deployment | None, blocked: Collection[int], *, allow_errors: bool
) -> None:
    """Return if the version may be blocked.

    Args:
        ref: the version.
        deployment: the current revision with its standby; None if the model is not deployed.
        blocked: the versions of the model that are blocked already.
        allow_errors: block it even if nothing is left that could answer.

    Raises:
        RefusedError: it is blocked already, or every call would fail.
    """
    if ref.number in blocked:
        raise RefusedError(f"{ref} is blocked already")
    if deployment is None or allow_errors:
        return
    line = {deployment.champion, *deployment.standby}
    fallback = deployment.fallback
    after = {*blocked, ref.number}
    has_fallback = (
        fallback.constant_score is not None
        or fallback.last_score_max_age_s is not None
        or (fallback.version is not None and fallback.version not in after)
    )
    if ref.number in line and line <= after and not has_fallback:
        raise RefusedError(
            f"{ref} is the last version that can act for {ref.model}, and no fallback is declared, "
            "so every call would fail; deploy another version or declare a fallback first, or "
            "allow errors explicitly"
        )


def check_not_blocked(model: str, numbers: Sequence[int], reasons: Mapping[int, str]) -> None:
    """Return if none of the versions that would gain traffic is blocked.

    Args:
        model: the model's name.
        numbers: versions that a change adds or gives more traffic.
        reasons: the reasons of blocks, by version.

    Raises:
        RefusedError: one is blocked, so the change would not act.
    """
    refused = [number for number in numbers if number in reasons]
    if refused:
        listed = "; ".join(f"{model}@{number} is blocked: {reasons[number]}" for number in refused)
        raise RefusedError(f"{listed}; lift the block first (understudy registry unblock)")
