"""`router status` names what is in trouble, in its table and not only in JSON."""

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
        models=[registry_pb2.RouterModelState(model="fraud", revision=7, champion=3)],
        answered=[
            router_pb2.AnsweredRows(
                model="fraud",
                version=3,
                arm="champion",
                level=scoring_pb2.DEGRADATION_LEVEL_FULL,
                rows=12,
            )
        ],
        mirrors=[router_pb2.MirrorCounts(model="fraud", shadow_version=5, offered=12, ok=12)],
        logs=[router_pb2.LogCounts(kind="score", offered=12, written=12)],
    )
    status.MergeFrom(router_pb2.GetRouterStatusResponse(**changes))  # type: ignore[arg-type]  # fields by name
    return status


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Printed:
    def shown(*found: router_pb2.GetRouterStatusResponse) -> str:
        print_status(found, Format.TABLE)
        return capsys.readouterr().out

    return shown


def test_a_router_that_is_well_has_no_troubles(printed: Printed) -> None:
    assert troubles([well()]) == []
    assert "all parts act" in printed(well())
    assert "mirrored" in printed(well())


def test_each_trouble_has_its_line(printed: Printed) -> None:
    sick = well(
        scorers=[
            router_pb2.UsedScorer(
                model="fraud", version=3, address="unix:/s", breaker_open=True, last_failure="hung"
            )
        ],
        feature_breaker_open=True,
        logs=[router_pb2.LogCounts(kind="shadow", dropped=4)],
        degraded=[router_pb2.DegradedRows(model="fraud", reason="scorer_unavailable", rows=9)],
        failures=[router_pb2.CountedFailures(model="fraud", kind="DeadlinePassedError", rows=2)],
        mirrors=[
            router_pb2.MirrorCounts(model="fraud", shadow_version=6, feature_breaker_open=True)
        ],
        late_rows=3,
        drill="L3 for 9 s more, by ann: exercise",
    )

    text = printed(sick, well())

    assert "breaker open for fraud@3 (unix:/s): hung" in text
    assert "r0: the feature store's breaker is open\n" in text
    assert "feature store's breaker is open for the shadow fraud@6" in text
    assert "shadow log: 4 rows dropped" in text
    assert "degraded: fraud: scorer_unavailable: 9" in text
    assert "without an answer: fraud: DeadlinePassedError: 2" in text
    assert "too late for their callers: 3 rows" in text
    assert "drill in 1 of 2 workers" in text
