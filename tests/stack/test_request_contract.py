"""Callers through a whole rollout of versions with other entities and request-time features."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest

from stack.data_directory import DataDirectory
from stack.processes import ROUTER, loopback_addresses, open_stack
from stack.router_books import read_books
from tests.stack.loan import MODEL, Loan
from tests.stack.waiting import until
from understudy.client.answers import ScoreAnswer
from understudy.client.async_scoring_client import AsyncScoringClient
from understudy.control.client import RegistryClient
from understudy.domain.changes import (
    Change,
    DeployChampion,
    Promote,
    RemoveShadow,
    Rollback,
    SetCanary,
    SetFallback,
    SetShadow,
)
from understudy.domain.deployments import Fallback
from understudy.logs.reader import open_logs
from understudy.scoring.v1 import scoring_pb2 as pb

pytestmark = pytest.mark.long
BOTH = {"user": "u1", "merchant": "m1"}
CALLS = 20  # of each caller under each revision
_PAUSE_S = 0.02  # between the calls of a caller


@dataclass
class Caller:
    """A caller that sends the same request again and again."""

    name: str
    entities: dict[str, str]
    features: dict[str, Any] = field(default_factory=dict)
    answers: list[ScoreAnswer] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)

    async def call_for_ever(self, client: AsyncScoringClient) -> None:
        while True:
            await asyncio.sleep(_PAUSE_S)  # or the callers would keep scorers from starting
            try:
                self.answers.append(
                    await client.score(
                        MODEL, self.entities, features=self.features, include_digests=True
                    )
                )
            except grpc.RpcError as error:
                self.refusals.append(f"{error.code().name}: {error.details()}")

    def of_revision(self, revision: int) -> list[ScoreAnswer]:
        return [each for each in self.answers if each.served_by.revision == revision]


@dataclass
class Rollout:
    """An operator and callers over a running stack."""

    registry: RegistryClient
    directory: DataDirectory
    callers: list[Caller]

    async def change(self, change: Change) -> int:
        """Make a change; return its revision once all callers were answered under it for a while."""
        answer = await asyncio.to_thread(self.registry.change, MODEL, change, reason="a test")

        async def is_settled() -> bool:
            [books] = await read_books(self.directory.router)
            in_force = [s for s in books.models if s.revision == answer.revision and not s.withheld]
            count = min((len(c.of_revision(answer.revision)) for c in self.callers), default=CALLS)
            refused = any(caller.refusals for caller in self.callers)
            return refused or (bool(in_force) and count >= CALLS)

        await until(is_settled)
        return answer.revision


@asynccontextmanager
async def running_rollout(
    root: Path,
) -> AsyncIterator[tuple[Rollout, AsyncScoringClient, Loan, Any]]:
    loan, directory = Loan(root / "loan"), DataDirectory(root / "s")
    async with (
        open_stack(directory, loopback_addresses(), workers=1) as stack,
        AsyncScoringClient(stack.addresses.router, timeout_s=60.0) as client,
    ):
        loan.write()
        loan.load_features(directory.features_url)
        with RegistryClient(stack.addresses.registry) as registry:
            for number in (1, 2, 3):
                await asyncio.to_thread(loan.register, number, stack.addresses.registry)
            yield Rollout(registry, directory, []), client, loan, stack


@pytest.mark.parametrize("declares", [False, True], ids=["without", "with"])
async def test_no_step_of_a_rollout_refuses_a_caller_or_moves_a_unit(
    tmp_path: Path, *, declares: bool
) -> None:
    user = Caller("user", {"user": "u1"})
    both = Caller("both", BOTH)
    basket = Caller("basket", BOTH, {"amount": 12.5, "serial": 7})
    async with running_rollout(tmp_path) as (rollout, client, loan, stack):
        start = await rollout.change(DeployChampion(1))
        if declares:
            start = await rollout.change(SetFallback(Fallback(constant_score=0.37)))
        first = await client.score(MODEL, BOTH, include_digests=True)
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(each.call_for_ever(client)) for each in (user, both)]
            rollout.callers += [user, both]
            await rollout.change(SetShadow(2, 10_000))
            await asyncio.to_thread(loan.register, 4, stack.addresses.registry)
            await rollout.change(SetShadow(4, 10_000, refuses_defaults=True))
            running.append(tasks.create_task(basket.call_for_ever(client)))
            rollout.callers.append(basket)
            await rollout.change(SetCanary(3, 2_000))
            promoted = await rollout.change(Promote(3))
            await rollout.change(RemoveShadow(4))
            back = await rollout.change(Rollback(to_revision=start))
            for task in running:
                task.cancel()
        [books] = await read_books(rollout.directory.router)
        typo = await refusal_of(client.score(MODEL, {"user": "u1", "merchnt": "m1"}))
        await stack.supervisor.stop(ROUTER)  # it finishes its logs
        keys = unit_keys(rollout.directory.logs)

    callers = (user, both, basket)
    print([len(each.answers) for each in callers])  # noqa: T201 - the counts
    assert [each.refusals for each in callers] == [[], [], []]
    assert Counter(caller.of_revision(promoted)[-1].served_by.version for caller in callers) == {
        3: 3
    }
    assert reasons_of(user.of_revision(promoted)[-1]) == [pb.DEGRADATION_REASON_FEATURES_DEFAULTED]
    assert reasons_of(both.of_revision(promoted)[-1]) == []
    digests = {each.served_by.digests.deployment for each in both.of_revision(back)}
    assert digests == {first.served_by.digests.deployment}
    [strict] = [each for each in books.mirrors if each.shadow_version == 4]
    assert strict.dropped_defaulted > 0, "only one caller sends the features that it reads"
    assert strict.ok > 0
    assert len(keys) == 1, "every request has the same user"
    assert "merchnt" in typo


async def refusal_of(call: Any) -> str:
    with pytest.raises(grpc.RpcError) as refused:
        await call
    return str(refused.value.details())


def reasons_of(answer: ScoreAnswer) -> list[int]:
    return list(answer.degradation.reasons)


def unit_keys(logs: Path) -> set[str]:
    with open_logs(logs) as reader:
        return {row["unit_key"] for row in reader.rows("SELECT DISTINCT unit_key FROM score")}
