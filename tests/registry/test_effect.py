"""The effect of a change: waited for, shown, and named where it lags."""

from io import StringIO
from itertools import count
from pathlib import Path

import grpc
import pytest

from registry.cli.await_effect import LONGEST_WAIT_S, await_effect
from registry.decisions.effect import AwaitedChange, AwaitedState, Seen, SeenRouter, lagging
from tests.registry.commands import REASON, command, end, json_of, start
from understudy.control.client import RegistryClient
from understudy.domain.acting import WithheldReason
from understudy.domain.deployments import Arm
from understudy.domain.errors import LaggingError, UnavailableError
from understudy.domain.reports import RouterModelState, WithheldPart
from understudy.domain.snapshots import News, ScorerProcess, ScorerState
from understudy.domain.versions import VersionRef
from understudy.registry.v1 import registry_pb2 as pb
from understudy.registry.v1 import registry_pb2_grpc
from understudy.runtime.exit_codes import OK, UNAVAILABLE, exit_code_of
from understudy.runtime.terminal.screen import Screen

CHANGE = AwaitedChange("fraud", 7, frozenset({2}))
END = AwaitedChange("fraud", 7, frozenset(), ends=True)


def withheld(version: int, arm: Arm = Arm.CHALLENGER) -> WithheldPart:
    return WithheldPart(arm, version, WithheldReason.NOT_READY, 100)


def router(
    revision: int | None, *parts: WithheldPart, news: News = News.REPORTING, name: str = "r-1"
) -> SeenRouter:
    state = None if revision is None else RouterModelState("fraud", revision, 1, (), parts)
    return SeenRouter(name, news, state)


def scorer(state: ScorerState, error: str | None = None) -> ScorerProcess:
    ref = VersionRef("fraud", 2)
    return ScorerProcess(ref, 0, "h:1", state, "digest", "h-1", last_error=error)


def seen(*routers: SeenRouter, scorers: tuple[ScorerProcess, ...] = (), hosts: int = 0) -> Seen:
    return Seen(routers, ("h-1",) * hosts, scorers)


@pytest.mark.parametrize(
    ("state", "lags"),
    [
        (seen(), ()),
        (seen(router(7)), ()),
        (seen(router(8, withheld(2))), ()),  # a later change has replaced this one
        (seen(router(6)), ("router r-1 serves revision 6",)),
        (seen(router(None)), ("router r-1 does not serve fraud yet",)),
        (seen(router(6, news=News.SILENT)), ()),
        (seen(router(7, withheld(3))), ()),  # another part, which was withheld before
        (
            seen(router(7, withheld(2))),
            ("router r-1: challenger @2 is not ready; its 100 bp stay with the champion",),
        ),
        (seen(hosts=1), ("no host runs @2 yet",)),
        (
            seen(scorers=(scorer(ScorerState.STARTING),), hosts=1),
            ("host h-1: @2 has state starting",),
        ),
        (
            seen(scorers=(scorer(ScorerState.GAVE_UP, "no memory"),), hosts=1),
            ("host h-1: @2 has state gave_up: no memory",),
        ),
        (
            seen(scorers=(scorer(ScorerState.STARTING), scorer(ScorerState.READY)), hosts=1),
            (),
        ),
    ],
)
def test_a_change_is_in_effect_once_all_that_report_act_on_it(
    state: Seen, lags: tuple[str, ...]
) -> None:
    assert lagging(CHANGE, state) == lags


def test_an_end_is_in_effect_once_no_router_serves_it_and_no_host_runs_it() -> None:
    running = seen(router(6), scorers=(scorer(ScorerState.DRAINING),), hosts=1)

    assert lagging(END, running) == (
        "router r-1 still serves revision 6",
        "host h-1 still runs @2",
    )
    assert lagging(END, seen(router(None), hosts=1)) == ()


def applied(sequence: int | None, lineage: str | None = "ours") -> SeenRouter:
    return SeenRouter("r-1", News.REPORTING, None, lineage, sequence)


@pytest.mark.parametrize(
    ("router", "lags"),
    [
        (applied(9), ()),
        (applied(10), ()),
        (applied(8), ("router r-1 has state 8 in effect, not yet 9",)),
        (applied(None), ("router r-1 has no state in effect yet",)),
        (applied(99, "theirs"), ("router r-1 has a state of theirs in effect",)),
        (SeenRouter("r-1", News.SILENT, None, "ours", 1), ()),
    ],
)
def test_a_change_beside_the_revisions_is_in_effect_with_its_state(
    router: SeenRouter, lags: tuple[str, ...]
) -> None:
    assert lagging(AwaitedState("a block", "ours", 9), seen(router)) == lags


def test_a_blocked_version_is_awaited_until_no_host_that_reports_runs_it() -> None:
    block = AwaitedState("a block", "ours", 9, ended=VersionRef("fraud", 2))

    running = seen(applied(9), scorers=(scorer(ScorerState.READY),), hosts=1)
    of_a_silent_host = seen(applied(9), scorers=(scorer(ScorerState.READY),))

    assert lagging(block, running) == ("host h-1 still runs fraud@2",)
    assert lagging(block, of_a_silent_host) == ()


def test_a_released_version_is_awaited_like_one_that_got_a_part() -> None:
    release = AwaitedState("a release", "ours", 9, begun=CHANGE)
    state = RouterModelState("fraud", 7, 1, (), (withheld(2),))
    behind = SeenRouter("r-1", News.REPORTING, state, "ours", 9)

    assert len(lagging(release, seen(behind))) == 1
    assert lagging(release, seen(applied(9), hosts=1))[-1] == "no host runs @2 yet"


def test_a_restore_is_awaited_in_hosts_too() -> None:
    restore = AwaitedState("a restore", "ours", 9, hosts_follow=True)

    lost = Seen((), ("h-1", "h-2"), (), {"h-1": "theirs"})
    followed = Seen((), ("h-1",), (), {"h-1": "ours"})

    assert lagging(restore, lost) == (
        "host h-1 has a state of theirs in effect",
        "host h-2 has a state of no registry in effect",
    )
    assert lagging(restore, followed) == ()


def test_progress_is_said_when_it_changes_and_the_wait_ends_with_the_effect() -> None:
    states = iter([seen(router(6)), seen(router(6)), seen(router(7, withheld(2))), seen(router(7))])
    said, now_s = StringIO(), count()

    effect = await_effect(
        CHANGE,
        lambda: next(states),
        Screen(file=said),
        clock=lambda: float(next(now_s)),
        pause=lambda _s: None,
    )

    assert (effect.lagging, effect.routers) == ((), 1)
    assert said.getvalue().splitlines() == [
        "waiting: router r-1 serves revision 6",
        "waiting: router r-1: challenger @2 is not ready; its 100 bp stay with the champion",
    ]
    effect.check(CHANGE)


def test_after_a_minute_the_laggards_are_named() -> None:
    waited_s = 0.0

    def pause(seconds: float) -> None:
        nonlocal waited_s
        waited_s += seconds

    def look() -> Seen:
        if waited_s < 1:
            raise UnavailableError("registry", "it restarts")
        return seen(router(7), router(6, name="r-2"), router(5, name="r-3", news=News.SILENT))

    effect = await_effect(CHANGE, look, Screen(quiet=True), clock=lambda: waited_s, pause=pause)

    with pytest.raises(
        LaggingError, match=r"not in effect after 60 s: router r-2 serves revision 6"
    ) as lag:
        effect.check(CHANGE)
    assert exit_code_of(lag.value) == UNAVAILABLE
    assert waited_s == LONGEST_WAIT_S
    assert effect.silent == ("r-3",)


def report(target: str, revision: int) -> None:
    state = pb.RouterModelState(model="fraud", revision=revision, champion=1)
    with grpc.insecure_channel(target) as channel:
        registry_pb2_grpc.RegistryServiceStub(channel).ReportRouter(
            pb.ReportRouterRequest(router_id="r-1", models=[state])
        )


def test_a_command_reports_where_its_change_is_in_effect(registry: str) -> None:
    first = command("deploy", "fraud@1", *REASON)
    report(registry, revision=3)

    behind = json_of("threshold", "fraud", "--value", "0.7", "--no-wait", *REASON)
    done = command("canary", "fraud@2", "--weight", "1%", *REASON)
    waited = json_of("threshold", "fraud", "--value", "0.4", "--dry-run", *REASON)

    assert "declared; no router reports" in first.stdout
    assert behind["effect"] is waited["effect"] is None
    assert done.exit_code == OK
    assert "in effect in 1 router after" in done.stdout


def test_versions_are_listed_with_their_parts(registry: str) -> None:
    command("deploy", "fraud@1", *REASON)
    command("canary", "fraud@2", "--weight", "1%", *REASON)
    report(registry, revision=2)

    first, second = (each["parts"] for each in json_of("list", "fraud"))
    table = command("show", "fraud@2").stdout

    assert first[0] == "champion"
    assert first[1].startswith("acts as champion: @1 since 20")
    assert second == ["challenger 1%"]
    assert "challenger 1%" in table


def report_state(target: str, sequence: int) -> None:
    state = pb.RouterModelState(model="fraud", revision=1, champion=1)
    with grpc.insecure_channel(target) as channel:
        stub = registry_pb2_grpc.RegistryServiceStub(channel)
        lineage = stub.GetStatus(pb.GetStatusRequest()).lineage
        belief = pb.WatcherBelief(lineage=lineage)
        stub.ReportRouter(
            pb.ReportRouterRequest(
                router_id="r-1", models=[state], belief=belief, sequence=sequence
            )
        )


def test_a_block_and_its_end_report_their_effect(registry: str) -> None:
    command("deploy", "fraud@1", *REASON)
    unheard = command("block", "fraud@2", *REASON)
    report_state(registry, sequence=1 << 62)

    released = json_of("unblock", "fraud@2", *REASON)
    at_once = json_of("block", "fraud@2", "--no-wait", *REASON)
    planned = json_of("unblock", "fraud@2", "--dry-run", *REASON)

    assert "no router reports" in unheard.stdout
    assert (released["effect"]["routers"], released["effect"]["lagging"]) == (1, [])
    assert at_once["effect"] is planned["effect"] is None
    assert (at_once["applied"], planned["applied"]) == (True, False)


def test_the_end_of_a_silent_host_reports_its_effect(
    seeded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGISTRY_SILENT_AFTER_S", "0.2")
    process, target = start(seeded)
    monkeypatch.setenv("UNDERSTUDY_REGISTRY", target)
    command("deploy", "fraud@1", *REASON)
    digest = json_of("show", "fraud@1")["artifact_digest"]
    running = pb.ScorerProcess(
        ref=pb.VersionRef(model="fraud", number=1),
        address="127.0.0.1:9000",
        state=pb.SCORER_STATE_READY,
        artifact_digest=digest,
    )
    with grpc.insecure_channel(target) as channel:
        registry_pb2_grpc.RegistryServiceStub(channel).ReportScorers(
            pb.ReportScorersRequest(host_id="h-1", processes=[running])
        )
    with RegistryClient(target) as client:
        for snapshot in client.watch("test"):  # until the registry names it silent
            if any(each.news == pb.NEWS_SILENT for each in snapshot.hosts):
                break

    planned = json_of("forget-host", "h-1", "--dry-run", *REASON)
    done = json_of("forget-host", "h-1", *REASON)

    assert planned["effect"] is None
    assert [each["address"] for each in done["scorers"]] == ["127.0.0.1:9000"]
    assert done["effect"]["lagging"] == []
    assert json_of("status")["scorers"] == []
    assert json_of("audit", "list")["entries"][-1]["action"] == "ACTION_FORGET_HOST"
    assert end(process) == OK
