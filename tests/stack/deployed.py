"""A real stack with the demo's models registered and the champion deployed."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stack.data_directory import EMBEDDED, DataDirectory
from stack.demo import Prepared, prepare
from stack.demo_report import DemoReport
from stack.processes import Stack, loopback_addresses, open_stack
from stack.provenance import Champion, auc_of, complete_record
from stack.rollout import Operator
from stack.training import Trained
from understudy.control.client import RegistryClient
from understudy.domain.changes import DeployChampion, PolicySource
from understudy.registry.v1 import registry_pb2 as pb
from understudy.runtime.terminal.output_option import Format


@dataclass(frozen=True, slots=True)
class Deployed:
    stack: Stack
    registry: RegistryClient
    operator: Operator
    units: tuple[str, ...]

    def scorer(self, version: int) -> pb.ScorerProcess:
        """Return the registry's information about the version's scorer process."""
        found = [each for each in self.registry.get_status().scorers if each.ref.number == version]
        assert len(found) == 1, found
        return found[0]


@asynccontextmanager
async def open_deployed(
    root: Path,
    *,
    versions: int,
    features_store: str = EMBEDDED,
    past: Callable[[Prepared], Champion] | None = None,
) -> AsyncIterator[Deployed]:
    """Start a stack below `root`, register so many versions, and deploy the first of them.

    `past`: registers a version and deploys it as revision 1 before any process runs.
    """
    prepared = prepare(DataDirectory(root, features_store), DemoReport(Format.JSON))
    former = None if past is None else past(prepared)
    async with open_stack(prepared.directory, loopback_addresses(), workers=2) as stack:
        with RegistryClient(stack.addresses.registry, access=stack.access.operator) as registry:
            made = 0 if former is None else 1  # revisions and versions
            operator = Operator(registry, stack.directory.router, revision=made)
            await register_versions(operator, prepared, versions, former)
            threshold = None if former is None else PolicySource.KEEP
            first = DeployChampion(made + 1, threshold, fallback_score=PolicySource.KEEP)
            await operator.until_settled(await operator.change(first, reason="first champion"))
            units = tuple(str(number) for number in prepared.patients.kept_rows)
            yield Deployed(stack, registry, operator, units)


async def register_versions(
    operator: Operator, prepared: Prepared, versions: int, champion: Champion | None = None
) -> None:
    """Register the first `versions` trained versions, or those after the one that is champion."""
    first = 0 if champion is None else 1
    for trained in prepared.trained[first : first + versions]:
        record = record_of(prepared, trained, champion)
        number = await operator.register(trained.artifact, record, prepared.view, reason="test")
        champion = champion or Champion(f"cancer@{number}", auc_of(record))


def record_of(prepared: Prepared, trained: Trained, champion: Champion | None) -> dict[str, Any]:
    """Return the complete record of a trained version."""
    return complete_record(
        trained,
        prepared.patients,
        view=prepared.view,
        lockfile=prepared.directory.training / "environment.lock",
        champion=champion,
        today=datetime.now(UTC).date(),
    )
