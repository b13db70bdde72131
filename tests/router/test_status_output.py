"""`router status` names problems in its table and not only in JSON."""

from collections.abc import Callable

import pytest

from router.cli.status_output import print_status, troubles
from understudy.registry.v1 import registry_pb2
from understudy.router.v1 import router_pb2
from understudy.runtime.terminal.output_option import Format
from understudy.scoring.v1 import scoring_pb2

Printed = Callable[..., str]


def well(**changes: object) -> router_pb2.GetRouterStatusResponse:
    status = router_pb2.GetRouterStatusResponse(
        router_id="r0",
        snapshot_lineage="0190",
        snapshot_sequence=5,
        models=[registry_pb2.RouterModelState(model="fraud", revision=7, champion=3)],
        answered=[
            router_pb2.AnsweredRows(
                model="fraud",
                version=3,
                arm=scoring_pb2.ARM_CHAMPION,
                level=scoring_pb2.DEGRADATION_LEVEL_FULL,
                rows=12,
            )
        ],
        mirrors=[router_pb2.MirrorCounts(model="fraud", shadow_version=5, offered=12, ok=12)],
        logs=[router_pb2.LogCounts(kind=router_pb2.LOG_KIND_SCORE, offered=12, written=12)],
    )
    status.MergeFrom(router_pb2.GetRouterStatusResponse(**changes))  # type: ignore[arg-type]  # fields by name
    return status


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Printed:
    def shown(*found: router_pb2.GetRouterStatusResponse) -> str:
        print_status(found, Format.TABLE)
        return capsys.readouterr().out

    return shown


def test_a_healthy_router_has_no_problems(printed: Printed) -> None:
    assert troubles([well()]) == []
    assert "all parts are in effect" in printed(well())
    assert "mirrored" in printed(well())


def test_the_scorers_on_each_hop_are_counted(printed: Printed) -> None:
    hops = (router_pb2.HOP_FRAMES, router_pb2.HOP_GRPC, router_pb2.HOP_FRAMES)
    asked = [router_pb2.UsedScorer(model="fraud", version=3, hop=hop) for hop in hops]
    unproven = router_pb2.UsedScorer(model="fraud", version=4)

    shown = printed(well(scorers=[*asked, unproven]))

    assert "r0: scorers: 2 over frames, 1 over grpc\n" in shown
    assert "scorers:" not in printed(well(scorers=[unproven]))


def test_a_refused_registry_is_a_problem(printed: Printed) -> None:
    refusal = registry_pb2.SnapshotRefusal(
        reason=registry_pb2.REFUSAL_REASON_ANOTHER_LINEAGE, lineage="0200", why="it is empty"
    )

    shown = printed(well(refusal=refusal))

    assert "r0: refuses the state of registry 0200: it is empty" in shown
    assert "state 5 of registry 0190" in shown


def test_each_problem_has_its_line(printed: Printed) -> None:
    sick = well(
        scorers=[
            router_pb2.UsedScorer(
                model="fraud", version=3, address="unix:/s", breaker_open=True, last_failure="hung"
            )
        ],
        feature_breaker_open=True,
        logs=[router_pb2.LogCounts(kind=router_pb2.LOG_KIND_SHADOW, dropped=4)],
        degraded=[
            router_pb2.DegradedRows(
                model="fraud",
                reason=scoring_pb2.DEGRADATION_REASON_SCORER_UNAVAILABLE,
                rows=9,
            )
        ],
        failures=[
            router_pb2.CountedFailures(
                model="fraud", kind=router_pb2.FAILURE_KIND_DEADLINE_PASSED, rows=2
            )
        ],
        mirrors=[
            router_pb2.MirrorCounts(model="fraud", shadow_version=6, feature_breaker_open=True)
        ],
        late_rows=3,
        drill=router_pb2.RunningDrill(
            level=scoring_pb2.DEGRADATION_LEVEL_CONSTANT, left_s=9.2, actor="ann", reason="exercise"
        ),
    )

    text = printed(sick, well())

    assert "breaker open for fraud@3 (unix:/s): hung" in text
    assert "r0: the feature store's breaker is open\n" in text
    assert "feature store's breaker is open for the shadow fraud@6" in text
    assert "shadow log: 4 rows dropped" in text
    assert "degraded: fraud: scorer_unavailable: 9" in text
    assert "without an answer: fraud: deadline_passed: 2" in text
    assert "too late for their callers: 3 rows" in text
    assert "drill in 1 of 2 workers: L3 for 9 s more, by ann: exercise" in text
    assert "r0: state 5 of registry 0190" in text
