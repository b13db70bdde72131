"""The effect of a change: waited for, shown, and named where it lags."""

from io import StringIO
from itertools import count

import grpc
import pytest

from registry.cli.await_effect import LONGEST_WAIT_S, await_effect
from registry.decisions.effect import AwaitedChange, Seen, SeenRouter, lagging
from tests.registry.commands import REASON, command, json_of
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
