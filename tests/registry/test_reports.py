"""Checks of the reports of hosts and routers on arrival, because they reach everyone else."""

import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from structlog.testing import capture_logs

from registry.server.report_wire import router_report_from_wire, scorers_report_from_wire
from tests.registry.operator import LIMIT_S, Operator, failure_of, running_registry
from tests.registry.profiled import calls_of
from understudy.client.error_details import details_of
from understudy.control.report_wire import model_state_from_wire, scorer_from_wire
from understudy.domain.errors import InvalidInputError
from understudy.registry.v1 import registry_pb2 as pb
from understudy.scoring.v1 import scoring_pb2

Status = grpc.StatusCode


WITHHELD = pb.WithheldPart(
    arm=scoring_pb2.ARM_SHADOW, version=2, reason=scoring_pb2.WITHHELD_REASON_NOT_READY
)


async def digest_of_version_1(operator: Operator) -> str:
    ref = pb.VersionRef(model="fraud", number=1)
    found = await operator.stub.GetVersion(pb.GetVersionRequest(ref=ref))
    return str(found.version.artifact_digest)


def sound_report(digest: str = "ab" * 32) -> pb.ReportScorersRequest:
    process = pb.ScorerProcess(
        ref=pb.VersionRef(model="fraud", number=1),
        address="unix:/run/scorer.sock",
        state=pb.SCORER_STATE_READY,
        artifact_digest=digest,
        host_id="host-1",
    )
    return pb.ReportScorersRequest(host_id="host-1", processes=[process])


def spoil(path: str, value: object) -> Callable[[pb.ReportScorersRequest], None]:
    def change(report: pb.ReportScorersRequest) -> None:
        *way, field = path.split(".")
        message = report if way[:1] == ["report"] else report.processes[0]
        for step in way[1:]:
            message = getattr(message, step)
        setattr(message, field, value)

    return change


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("report.host_id", "", "host_id"),
        ("report.host_id", "h" * 201, "host_id"),
        ("report.host_id", "host\x1b[2J", "host_id"),
        ("process.host_id", "host\n", "processes[0].host_id"),
        ("process.ref.model", "Fraud!", "processes[0].ref.model"),
        ("process.ref.number", 0, "processes[0].ref.number"),
        ("process.state", 0, "processes[0].state"),
        ("process.state", 4711, "processes[0].state"),
        ("process.address", "", "processes[0].address"),
        ("process.address", "unix:relative.sock", "processes[0].address"),
        ("process.address", "unix:/" + "a" * 300, "processes[0].address"),
        ("process.address", "dns:///evil.example:80", "processes[0].address"),
        ("process.address", "evil.example", "processes[0].address"),
        ("process.address", "evil.example:99999", "processes[0].address"),
        ("process.address", "evil.example:0", "processes[0].address"),
        ("process.address", "a:1,b:2", "processes[0].address"),
    ],
)
async def test_an_invalid_report_is_refused_by_its_field(
    operator: Operator, path: str, value: object, field: str
) -> None:
    report = sound_report()
    spoil(path, value)(report)

    error = await failure_of(operator.stub.ReportScorers(report))

    assert error.code() is Status.INVALID_ARGUMENT
    assert str(error.details()).startswith(f"{field}: ")


@pytest.mark.parametrize("address", ["unix:/run/a.sock", "scorer-1:9000", "10.0.0.1:9", "[::1]:9"])
async def test_valid_addresses_of_scorers_are_accepted(deployer: Operator, address: str) -> None:
    report = sound_report(await digest_of_version_1(deployer))
    spoil("process.address", address)(report)

    await deployer.stub.ReportScorers(report)

    assert [each.address for each in (await deployer.seen(lambda _: True)).scorers] == [address]


async def test_all_faults_are_named_at_once_up_to_a_limit(operator: Operator) -> None:
    report = sound_report()
    spoil("process.state", 99)(report)
    spoil("process.address", "nowhere")(report)
    two = await failure_of(operator.stub.ReportScorers(report))
    report.processes.extend([report.processes[0]] * 200)
    many = await failure_of(operator.stub.ReportScorers(report))

    assert "processes[0].state" in str(two.details())
    assert "processes[0].address" in str(two.details())
    assert many.code() is Status.INVALID_ARGUMENT
    # Of at most 20 faults, text and details name those that fit into the trailers of a call.
    named = str(many.details()).count("accepted")
    assert 5 <= named <= len(details_of(many).violations) <= 20


@pytest.mark.parametrize("sound", [0, 255])
def test_no_value_is_made_of_a_report_that_is_refused(sound: int) -> None:
    """Of a report whose last scorer is faulty the values were made, and its faults sought in them."""
    report = pb.ReportScorersRequest(
        host_id="host-1", processes=[*sound_report().processes] * sound + [pb.ScorerProcess()]
    )
    made = calls_of(scorer_from_wire, lambda: refused(scorers_report_from_wire, report))
    state = pb.RouterModelState(model="fraud", revision=1)
    routers = pb.ReportRouterRequest(
        router_id="r", models=[state] * sound + [pb.RouterModelState()]
    )
    read = partial(router_report_from_wire, largest_part_bytes=routers.ByteSize())
    made += calls_of(model_state_from_wire, lambda: refused(read, routers))

    assert made == 0


def refused(read: Callable[[Any], object], report: Any) -> None:
    with pytest.raises(InvalidInputError):
        read(report)


async def test_more_processes_than_a_host_runs_are_refused(operator: Operator) -> None:
    report = sound_report()
    report.processes.extend([report.processes[0]] * 256)

    error = await failure_of(operator.stub.ReportScorers(report))

    assert "at most 256" in str(error.details())


@pytest.mark.parametrize(
    ("rpc", "report", "most"),
    [
        ("ReportScorers", pb.ReportScorersRequest(processes=[pb.ScorerProcess()] * 10_000), 256),
        ("ReportRouter", pb.ReportRouterRequest(models=[pb.RouterModelState()] * 10_000), 1_000),
    ],
)
async def test_a_large_report_is_refused_by_counting_up_to_its_bound(
    operator: Operator, rpc: str, report: Any, most: int
) -> None:
    error = await failure_of(getattr(operator.stub, rpc)(report))

    assert error.code() is Status.INVALID_ARGUMENT
    assert f"at most {most} in one message" in str(error.details())


async def test_an_error_text_is_truncated_and_cannot_control_a_terminal(deployer: Operator) -> None:
    report = sound_report(await digest_of_version_1(deployer))
    spoil("process.last_error", "\x1b[2J" + "x" * 5000)(report)

    await deployer.stub.ReportScorers(report)

    shown = (await deployer.stub.GetStatus(pb.GetStatusRequest())).scorers[0].last_error
    assert shown.startswith("?[2Jx")
    assert len(shown) == 1000


@pytest.mark.parametrize(
    ("number", "digest", "model"),
    [(1, "cd" * 32, "fraud"), (1, "", "fraud"), (9, "", "fraud"), (1, "", "other")],
)
async def test_processes_of_unregistered_versions_are_not_published(
    deployer: Operator, number: int, digest: str, model: str
) -> None:
    report = sound_report(await digest_of_version_1(deployer))
    stranger = report.processes.add()
    stranger.CopyFrom(report.processes[0])
    stranger.address = "evil.example:80"
    stranger.ref.number, stranger.ref.model = number, model
    if (number, model) == (1, "fraud"):
        stranger.artifact_digest = digest

    await deployer.stub.ReportScorers(report)

    snapshot = await deployer.seen(lambda _: True)
    status = await deployer.stub.GetStatus(pb.GetStatusRequest())
    for scorers in (snapshot.scorers, status.scorers):
        assert [each.address for each in scorers] == ["unix:/run/scorer.sock"]


@pytest.mark.parametrize(
    ("loaded", "is_sound"), [(None, True), ("as registered", True), ("cd" * 32, False)]
)
async def test_a_scorer_that_loaded_other_bytes_is_shown_to_operators_and_routers(
    deployer: Operator, loaded: str | None, *, is_sound: bool
) -> None:
    digest = await digest_of_version_1(deployer)
    report = sound_report(digest)
    if loaded is not None:
        spoil("process.loaded_digest", digest if loaded == "as registered" else loaded)(report)

    with capture_logs() as logs:
        await deployer.stub.ReportScorers(report)

    status = await deployer.stub.GetStatus(pb.GetStatusRequest())
    (seen,) = (await deployer.seen(lambda _: True)).scorers
    alarms = [each for each in logs if each["event"] == "scorers_loaded_other_artifacts"]
    assert list(status.scorers) == list(report.processes)
    assert seen.loaded_digest == report.processes[0].loaded_digest  # so that they know the reason
    assert len(alarms) == (not is_sound)


@pytest.mark.fault
@pytest.mark.parametrize("spoilt", ["state", "address", "bytes", "other host"])
async def test_a_poisoned_report_is_not_loaded_again(seeded: Path, spoilt: str) -> None:
    async with running_registry(seeded) as channel:
        operator = Operator(channel)
        digest = await digest_of_version_1(operator)
        await operator.stub.ReportScorers(sound_report(digest))
    with sqlite3.connect(seeded / "registry.sqlite") as database:
        (kept,) = database.execute("SELECT report_json FROM host_reports").fetchone()
        text = {
            "state": kept.replace("host-1", "host-2").replace('"ready"', '"asleep"'),
            "address": kept.replace("host-1", "host-2").replace("unix:/", "dns:///"),
            "bytes": b"\xff\xff",
            "other host": kept.replace("host-1", "host-3"),
        }[spoilt]
        database.execute("INSERT INTO host_reports VALUES ('host-2', ?)", [text])
    database.close()

    async with running_registry(seeded) as channel:
        snapshot = await Operator(channel).seen(lambda _: True)

    assert [each.host_id for each in snapshot.scorers] == ["host-1"]
    with sqlite3.connect(seeded / "registry.sqlite") as database:
        left = database.execute("SELECT host_id FROM host_reports").fetchall()
    database.close()
    assert left == [("host-1",)]


@pytest.mark.parametrize(
    ("report", "field"),
    [
        (pb.ReportRouterRequest(router_id="r\x07"), "router_id"),
        (pb.ReportRouterRequest(router_id="r" * 201), "router_id"),
        (
            pb.ReportRouterRequest(router_id="r", models=[pb.RouterModelState(model="A B")]),
            "models[0].model",
        ),
        (
            pb.ReportRouterRequest(
                router_id="r", models=[pb.RouterModelState(model="a", withheld=[WITHHELD] * 101)]
            ),
            "models[0].withheld",
        ),
        (
            pb.ReportRouterRequest(
                router_id="r",
                models=[pb.RouterModelState(model="a", unservable=[pb.UnservableVersion()] * 101)],
            ),
            "models[0].unservable",
        ),
        (
            pb.ReportRouterRequest(
                router_id="r", models=[pb.RouterModelState(model="a", withheld=[pb.WithheldPart()])]
            ),
            "models[0].withheld[0].arm",
        ),
        (
            pb.ReportRouterRequest(router_id="r", models=[pb.RouterModelState(model="a")] * 1001),
            "models",
        ),
    ],
)
async def test_an_invalid_report_of_a_router_is_refused(
    operator: Operator, report: pb.ReportRouterRequest, field: str
) -> None:
    error = await failure_of(operator.stub.ReportRouter(report))

    assert error.code() is Status.INVALID_ARGUMENT
    assert str(error.details()).startswith(f"{field}: ")


async def test_watchers_of_one_peer_are_bounded(tmp_path: Path) -> None:
    async with running_registry(tmp_path, max_watchers_per_peer=1) as channel:
        operator = Operator(channel)
        first = operator.stub.Watch(pb.WatchRequest(watcher="a" * 10_000), timeout=LIMIT_S)
        await first.read()

        error = await failure_of(operator.seen(lambda _: True))

        assert error.code() is Status.RESOURCE_EXHAUSTED
        assert "watchers from this address" in str(error.details())
        first.cancel()


async def test_an_oversized_message_is_refused(operator: Operator) -> None:
    report = sound_report()
    spoil("process.last_error", "x" * (9 << 20))(report)

    error = await failure_of(operator.stub.ReportScorers(report))

    assert error.code() is Status.RESOURCE_EXHAUSTED
    assert "larger than max" in str(error.details())
