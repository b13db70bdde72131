"""The bound on the state of all deployments, which every watcher receives."""

from pathlib import Path

import grpc
import pytest
from pydantic import ValidationError

from registry.settings import RegistrySettings
from tests.registry.operator import Operator, failure_of, running_registry
from understudy.domain.changes import DeployChampion, RemoveShadow, Rollback, SetShadow, Undeploy

SHADOW = SetShadow(2, 10_000)


async def stored_bytes(operator: Operator) -> int:
    """Return the bytes of deployments and versions in the snapshot of a watcher."""
    snapshot = await operator.seen(lambda _: True)
    return sum(each.ByteSize() for each in (*snapshot.deployments, *snapshot.versions))


async def test_a_change_that_makes_the_state_too_large_is_refused_and_one_back_is_not(
    seeded: Path,
) -> None:
    async with running_registry(seeded) as channel:
        operator = Operator(channel)
        await operator.change(DeployChampion(1))
        size_bytes = await stored_bytes(operator)

    async with running_registry(seeded, max_state_bytes=size_bytes) as channel:
        operator = Operator(channel)
        refused = [
            await failure_of(operator.change(SHADOW)),
            await failure_of(operator.change(SHADOW, dry_run=True)),
            await failure_of(operator.change(DeployChampion(2))),
        ]

        assert {each.code() for each in refused} == {grpc.StatusCode.FAILED_PRECONDITION}
        assert all(f"allows {size_bytes} (REGISTRY_MAX" in str(e.details()) for e in refused)
        assert await stored_bytes(operator) == size_bytes

    async with running_registry(seeded) as channel:
        await Operator(channel).change(SHADOW)

    async with running_registry(seeded, max_state_bytes=size_bytes) as channel:
        operator = Operator(channel)
        for change in (RemoveShadow(2), Rollback(None), Undeploy()):
            await operator.change(change)

        assert await stored_bytes(operator) == 0


def test_a_state_that_no_watcher_accepts_cannot_be_allowed() -> None:
    with pytest.raises(ValidationError, match="bytes that watchers accept"):
        RegistrySettings(
            unproven=True, dir="d", max_state_bytes=60 << 20, max_host_report_bytes=4 << 20
        )
