"""Refused attempts are on record: folded, bounded, without a word of the request, in a verified chain."""

from pathlib import Path

import grpc
from hypothesis import given
from hypothesis import strategies as st

from registry.decisions.refusals import (
    MINUTE_NS,
    MOST_KINDS,
    OTHERS,
    Attempt,
    Attempts,
    first_broken,
    rows_after,
)
from tests.registry.callers import entry, proven_registry, token_of
from tests.registry.operator import LIMIT_S, Operator, failure_of, rows_of, running_server
from understudy.control.identity import ACTOR_KEY
from understudy.domain.changes import DeployChampion
from understudy.domain.identities import Role
from understudy.registry.v1 import registry_pb2 as pb
from understudy.registry.v1 import registry_pb2_grpc

GENESIS = "9" * 64
KINDS = st.builds(
    Attempt, st.sampled_from(["", "ann", "bob"]), st.just("p"), st.sampled_from("abc"), st.just("r")
)


@given(st.lists(st.tuples(KINDS, st.integers(0, 3 * MINUTE_NS)), max_size=40))
def test_every_attempt_is_counted_once_in_its_minute_and_the_chain_holds(
    tried: list[tuple[Attempt, int]],
) -> None:
    attempts = Attempts()
    for kind, now_ns in tried:
        attempts = attempts.with_one(kind, now_ns)
    rows = rows_after((0, GENESIS), attempts)

    assert sum(row.attempts for row in rows) == len(tried)
    assert {(row.minute_ns // MINUTE_NS, row.actor, row.call) for row in rows} == {
        (now_ns // MINUTE_NS, kind.actor, kind.call) for kind, now_ns in tried
    }
    stored = [(row, row.digest) for row in rows]
    assert first_broken(stored, GENESIS) is None
    if len(stored) > 1:
        assert first_broken(stored[1:], GENESIS) == 1


def test_a_flood_of_kinds_is_counted_together_and_loses_no_attempt() -> None:
    attempts = Attempts()
    for number in range(1_000):
        attempts = attempts.with_one(Attempt("", f"ipv4:10.0.{number}", "Watch", "r"), 1)

    assert len(attempts.counts) == MOST_KINDS + 1
    assert attempts.counts[0, OTHERS] == 1_000 - MOST_KINDS


async def test_refusals_are_recorded_by_proven_name_and_without_secrets(tmp_path: Path) -> None:
    secret = "a token that is not known"  # noqa: S105 - of no one
    async with proven_registry(tmp_path, [entry("vera", Role.VIEWER)]) as registry:
        async with registry.open(token_of("vera")) as channel:
            stub = registry_pb2_grpc.RegistryServiceStub(channel)
            for _ in range(3):
                await failure_of(stub.SetBlock(pb.SetBlockRequest(reason=secret), timeout=LIMIT_S))
        async with registry.open(secret) as channel:
            stub = registry_pb2_grpc.RegistryServiceStub(channel)
            claim = ((ACTOR_KEY, secret),)
            call = stub.GetStatus(pb.GetStatusRequest(), metadata=claim, timeout=LIMIT_S)
            await failure_of(call)
        await registry.opened.refusals.write()
        async with registry.open(token_of("vera")) as channel:
            stub = registry_pb2_grpc.RegistryServiceStub(channel)
            page = await stub.ListRefusals(pb.ListRefusalsRequest(), timeout=LIMIT_S)
            verified = await stub.ListAudit(pb.ListAuditRequest(), timeout=LIMIT_S)

    counts: dict[tuple[str, str, str], int] = {}
    for each in page.refusals:
        key = each.actor, each.call, each.reason
        counts[key] = counts.get(key, 0) + each.attempts
    assert counts == {
        ("", "GetStatus", "unauthenticated"): 1,
        ("vera", "SetBlock", "permission_refused"): 3,
    }
    assert secret not in str(page)
    assert list(verified.faults) == []


async def test_a_refused_change_is_recorded_and_a_mistyped_one_is_not(seeded: Path) -> None:
    async with running_server(seeded) as (opened, channel):
        operator = Operator(channel)
        await operator.change(DeployChampion(1))
        refused = await failure_of(operator.change(DeployChampion(1)))
        await failure_of(operator.change(DeployChampion(2), reason=""))
        await opened.refusals.write()

    assert refused.code() is grpc.StatusCode.FAILED_PRECONDITION
    (row,) = rows_of(seeded, "refusals")
    assert row[2:7] == ("ada@lab", "ipv4:127.0.0.1", "ChangeDeployment", "refused", 1)
