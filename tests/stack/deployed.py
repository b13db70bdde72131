"""A real stack with the demo's models registered and the champion deployed."""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from stack.author import Author
from stack.data_directory import EMBEDDED, DataDirectory
from stack.demo import Prepared, prepare
from stack.demo_report import DemoReport
from stack.processes import Stack, loopback_addresses, open_stack
from stack.register_versions import register_versions
from stack.rollout import Operator
from stack.training import CANDIDATES, MODEL, SCORE_OUTPUT, Candidate
from understudy.control.client import RegistryClient
from understudy.control.uploads import NewVersion
from understudy.domain.changes import DeployChampion, PolicySource, SetFallback
from understudy.domain.deployments import Fallback
from understudy.provenance.capture import compare_with_champion
from understudy.registry.v1 import registry_pb2 as pb
from understudy.runtime.terminal.output_option import Format


@dataclass(frozen=True, slots=True)
class Deployed:
    stack: Stack
    registry: RegistryClient
    operator: Operator
    units: tuple[str, ...]

    async def declare_fallback(self) -> int:
        """Declare a constant; return the revision once it is in force."""
        fallback = SetFallback(Fallback(constant_score=0.37))
        revision = await self.operator.change(fallback, reason="answer at all times")
        await self.operator.until_settled(revision)
        return revision

    def scorer(self, version: int) -> pb.ScorerProcess:
        """Return the registry's information about the version's scorer process."""
        found = [each for each in self.registry.get_status().scorers if each.ref.number == version]
        assert len(found) == 1, found
        return found[0]


@dataclass(frozen=True, slots=True)
class Former:
    """The champion that an earlier build measured and deployed."""

    ref: str  # e.g. cancer@1
    auc: float


@asynccontextmanager
async def open_deployed(
    root: Path,
    *,
    versions: int,
    features_store: str = EMBEDDED,
    past: Callable[[Prepared], Former] | None = None,
) -> AsyncIterator[Deployed]:
    """Start a stack below `root`, register so many versions, and deploy the first of them.

    `past`: registers a version and deploys it as revision 1 before any process runs.
    """
    report = DemoReport(Format.JSON)
    prepared = prepare(DataDirectory(root, features_store), report)
    former = None if past is None else past(prepared)
    async with open_stack(prepared.directory, loopback_addresses(), workers=2) as stack:
        with RegistryClient(stack.addresses.registry, access=stack.access.operator) as registry:
            made = 0 if former is None else 1  # revisions and versions
            operator = Operator(registry, stack.directory.router, revision=made)
            author = prepared.author(stack.addresses.registry, stack.access.operator)
            threshold = None if former is None else PolicySource.KEEP
            first = DeployChampion(made + 1, threshold, fallback_score=PolicySource.KEEP)
            candidates = CANDIDATES[made : made + versions]
            if former is None:
                await register_versions(operator, author, report, candidates, champion=first)
            else:
                register_beside(former, author, registry, candidates)
                await operator.change(first, reason="first champion")
            await operator.until_settled(made + 1)
            units = tuple(str(number) for number in prepared.patients.kept_rows)
            yield Deployed(stack, registry, operator, units)


def register_beside(
    former: Former, author: Author, registry: RegistryClient, candidates: Sequence[Candidate]
) -> None:
    """Register versions measured beside a champion that no run of this build can load."""
    for candidate in candidates:
        with replace(author, champion=None).trained(candidate) as run:
            record = run.record()
            metric = record["evaluation"]["metrics"][0]
            comparison = compare_with_champion(former.ref, metric, former.auc)
            record["evaluation"]["comparison"] = comparison
            text, views = json.dumps(record), (author.view,)
            asked = NewVersion(MODEL, run.artifact_dir, text, views, SCORE_OUTPUT, "a test")
            assert registry.register(asked).report.complete
