"""Bounds on the sums of reports, which reach all watchers and every status."""

import asyncio
from pathlib import Path
from time import time_ns
from typing import Any

import grpc
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from registry.decisions.report_room import RoomLimits
from registry.server.report_rooms import ReportRoom, ReportSize
from registry.server.report_sizes import size_of_sent_scorers
from registry.server.report_wire import REPORT_FORMS, scorers_report_from_wire
from registry.settings import RegistrySettings
from tests.registry.operator import Operator, failure_of, running_registry, version_1
from understudy.control.report_wire import scorers_report_to_wire
from understudy.domain.errors import OverloadedError
from understudy.registry.v1 import registry_pb2 as pb
from understudy.scoring.v1.scoring_pb2 import ARM_SHADOW, WITHHELD_REASON_NOT_READY

LIMITS = RoomLimits(reporters=4, reporters_per_peer=2, parts=20, size_bytes=1000)
FORM = REPORT_FORMS[0]
REPORT_SCORERS = "/understudy.registry.v1.RegistryService/ReportScorers"
MACHINES, WORKERS, SCORERS, MODELS = 32, 64, 16, 50  # the fleet in docs/reference/registry.md
SIZES = st.builds(ReportSize, st.integers(0, 12), st.integers(0, 600))
STEPS = st.lists(
    st.tuples(st.sampled_from("abcdefgh"), st.sampled_from(["p", "q", "r"]), SIZES)
    | st.sets(st.sampled_from("abcdefgh")),
    max_size=40,
)


@given(STEPS)
def test_no_sum_is_ever_above_its_limit(
    steps: list[tuple[str, str, ReportSize] | set[str]],
) -> None:
    room = ReportRoom(LIMITS)
    held: dict[str, tuple[str, ReportSize]] = {}
    for step in steps:
        if isinstance(step, set):
            room.keep_only(step)
            held = {name: each for name, each in held.items() if name in step}
            continue
        name, peer, size = step
        wanted = {**held, name: (peer, size)}
        if fits(wanted):
            room.take(name, peer, size)
            held = wanted
        else:
            with pytest.raises(OverloadedError):
                room.take(name, peer, size)
        assert fits(held)


def fits(held: dict[str, tuple[str, ReportSize]]) -> bool:
    """Add everything up again, as the room must not do for each report."""
    peers = [peer for peer, _ in held.values()]
    return (
        len(held) <= LIMITS.reporters
        and all(peers.count(peer) <= LIMITS.reporters_per_peer for peer in peers)
        and sum(size.parts for _, size in held.values()) <= LIMITS.parts
        and sum(size.size_bytes for _, size in held.values()) <= LIMITS.size_bytes
    )


def test_a_report_that_shrinks_is_taken_although_the_limits_were_lowered() -> None:
    room = ReportRoom(LIMITS)
    room.restore("a", ReportSize(30, 2000))

    room.take("a", "p", ReportSize(25, 1500))

    with pytest.raises(OverloadedError, match="entries of all reports: 26, at most 20"):
        room.take("a", "p", ReportSize(26, 1500))


def wordy(host: int, digest: str) -> pb.ReportScorersRequest:
    """Return the largest report that is legal by itself: 256 scorers with long texts."""
    process = pb.ScorerProcess(
        ref=pb.VersionRef(model="fraud", number=1),
        address="h" * 290 + f":{9000 + host}",  # an address belongs to one host
        state=pb.SCORER_STATE_READY,
        artifact_digest=digest,
        last_error="\N{EARTH GLOBE EUROPE-AFRICA}" * 1000,
    )
    return pb.ReportScorersRequest(host_id=f"host-{host}", processes=[process] * 256)


def scorer(last_error: str, loaded_digest: str) -> pb.ScorerProcess:
    return pb.ScorerProcess(
        ref=pb.VersionRef(model="fraud", number=1),
        address="unix:/a",
        state=pb.SCORER_STATE_READY,
        last_error=last_error,
        loaded_digest=loaded_digest,
    )


async def test_legal_reports_of_many_hosts_keep_the_snapshot_small(two_versions: Path) -> None:
    async with running_registry(two_versions) as channel:
        operator = Operator(channel)
        digest = (await version_1(operator)).artifact_digest
        answers = await asyncio.gather(
            *(operator.stub.ReportScorers(wordy(host, digest)) for host in range(16)),
            return_exceptions=True,
        )

        snapshot = await operator.seen(lambda _: True)
        status = await operator.stub.GetStatus(pb.GetStatusRequest())

        limit_bytes = RegistrySettings(unproven=True, dir="d").max_host_report_bytes
        refusals = [each for each in answers if isinstance(each, grpc.aio.AioRpcError)]
        assert {each.code() for each in refusals} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
        assert all("bytes of all reports" in str(each.details()) for each in refusals)
        assert sum(each.ByteSize() for each in snapshot.scorers) < limit_bytes
        assert sum(each.ByteSize() for each in status.scorers) < limit_bytes
        assert not any(each.HasField("last_error") for each in snapshot.scorers)


async def test_a_report_without_room_is_refused_unparsed(two_versions: Path) -> None:
    unparsable = (
        pb.ScorerProcess(address="unix:/a").SerializeToString().replace(b"unix", b"\xff" * 4)
    )
    first, second = (pb.ReportScorersRequest(host_id=name) for name in "ab")
    async with running_registry(two_versions, max_hosts_per_peer=1) as channel:
        report: Any = channel.unary_unary(REPORT_SCORERS)
        await report(first.SerializeToString())

        with_room = await failure_of(report(first.SerializeToString() + as_part(unparsable)))
        without = await failure_of(report(second.SerializeToString() + as_part(unparsable)))

        assert with_room.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert without.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def as_part(process: bytes) -> bytes:
    """Return the field of a report that contains this scorer."""
    return b"\x12" + bytes((len(process),)) + process


@given(
    st.text(min_size=1, max_size=200),
    st.lists(st.builds(scorer, st.text(max_size=1100), st.text(max_size=40)), max_size=5),
)
def test_a_report_is_kept_and_sent_on_within_the_room_that_it_took(
    host_id: str, processes: list[pb.ScorerProcess]
) -> None:
    sent = pb.ReportScorersRequest(host_id=host_id, processes=processes)
    received = FORM.read(sent.SerializeToString())
    took = size_of_sent_scorers(received.head.host_id, received.parts, len(received.received))
    assume(host_id.isprintable())

    kept = scorers_report_from_wire(received.parsed())

    assert scorers_report_to_wire(kept).ByteSize() <= took.size_bytes
    assert len(kept.processes) == took.parts


async def test_one_address_leaves_room_for_the_hosts_of_others(two_versions: Path) -> None:
    async with running_registry(two_versions, max_hosts_per_peer=1) as channel:
        stub = Operator(channel).stub
        await stub.ReportScorers(pb.ReportScorersRequest(host_id="a"))
        await stub.ReportScorers(pb.ReportScorersRequest(host_id="a"))

        error = await failure_of(stub.ReportScorers(pb.ReportScorersRequest(host_id="b")))

        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "reporters from this address: 2, at most 1" in str(error.details())


def host_report(name: str) -> pb.ReportScorersRequest:
    process = pb.ScorerProcess(
        ref=pb.VersionRef(model="a_model_with_a_name", number=100),
        replica=1,
        address=f"{name}.scorers.production.svc.cluster.local:31000",
        state=pb.SCORER_STATE_READY,
        artifact_digest="a" * 64,
        loaded_digest="a" * 64,
        restarts=100,
        last_error="e" * 300,
        host_id=name,
        pid=4_000_000,
    )
    process.started_at.FromNanoseconds(time_ns())
    return pb.ReportScorersRequest(host_id=name, processes=[process] * SCORERS)


def router_report(name: str) -> pb.ReportRouterRequest:
    model = pb.RouterModelState(model="a_model_with_a_name", revision=1000, champion=100)
    model.effective.add(version=101, weight_bp=1000)
    model.withheld.add(arm=ARM_SHADOW, version=102, reason=WITHHELD_REASON_NOT_READY)
    return pb.ReportRouterRequest(router_id=name, models=[model] * MODELS)


@pytest.mark.parametrize("kind", ["hosts", "routers"])
def test_the_default_room_holds_the_documented_fleet(kind: str) -> None:
    settings = RegistrySettings(unproven=True, dir="d")
    host, router = host_report("scorer-host-of-machine-17"), router_report("router-17-worker-63")
    counts: dict[str, tuple[RoomLimits, int, int, ReportSize]] = {
        "hosts": (settings.host_room, MACHINES, 2, ReportSize(SCORERS, host.ByteSize())),
        # While one machine's router restarts, its old names are still shown.
        "routers": (
            settings.router_room,
            MACHINES,
            2 * WORKERS,
            ReportSize(MODELS, router.ByteSize()),
        ),
    }
    limits, machines, of_each, size = counts[kind]
    room = ReportRoom(limits)

    for number in range(machines * of_each):
        room.take(f"name-{number}", f"machine-{number % machines}", size)
