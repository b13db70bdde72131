"""The scorer that a shadow's copies go to. Pure."""

from collections.abc import Sequence

from understudy.domain.deployments import Deployment, answering_versions


def shadow_address(deployment: Deployment, version: int, addresses: Sequence[str]) -> str | None:
    """Return the address for copies to a shadow; None if no scorer of it is ready.

    A version that also answers callers, as in an A/A test, takes copies at its second scorer if it has
    one: the copies disturb its answers least there, and the noise between processes shows as well.

    Args:
        deployment: the revision in effect.
        version: the number of the shadow.
        addresses: its ready scorers, the preferred one first.
    """
    if not addresses:
        return None
    is_second = version in answering_versions(deployment) and len(addresses) > 1
    return addresses[1 if is_second else 0]
