"""The pure rules of the scorer and its host."""

from hypothesis import given
from hypothesis import strategies as st

from scorer.decisions.cache_keeping import evictable
from scorer.decisions.fleet import HostRole, Place, plan_change, undescribed_versions, wanted_places
from scorer.decisions.gathering import Gathering
from scorer.decisions.run_place import RunPlace
from understudy.domain.deployments import Challenger, Deployment, Fallback, Shadow
from understudy.domain.snapshots import Snapshot, VersionSpec
from understudy.domain.versions import ScoreOutput, VersionRef


def test_a_lone_caller_does_not_wait() -> None:
    assert Gathering().is_complete(queued_calls=1, coming_calls=0)
    assert not Gathering().is_complete(queued_calls=1, coming_calls=1)


def test_a_crowd_waits_for_as_many_calls_as_recently_arrived() -> None:
    crowd = Gathering().crowd_seen().gathered(5)

    assert not crowd.is_complete(queued_calls=4, coming_calls=0)
    assert crowd.is_complete(queued_calls=5, coming_calls=0)
    assert not crowd.is_complete(queued_calls=5, coming_calls=1)


@given(st.lists(st.integers(1, 64), max_size=30))
def test_a_gathering_of_one_call_ends_the_waiting(past: list[int]) -> None:
    gathering = Gathering()
    for calls in past:
        gathering = gathering.gathered(calls)

    assert gathering.gathered(1).is_alone


@given(st.lists(st.integers(2, 64), min_size=1, max_size=30))
def test_the_target_never_exceeds_recent_arrivals(past: list[int]) -> None:
    gathering = Gathering()
    for calls in past:
        gathering = gathering.gathered(calls)

    assert gathering.target_calls == max(past[-8:])


def test_short_runs_stay_on_the_loop_and_long_ones_leave() -> None:
    place = RunPlace(inline_run_s=0.002)
    place.record(1, 0.000_010)
    place.record(256, 0.010)

    assert place.is_inline(1)
    assert not place.is_inline(256)
    assert not place.is_inline(1000)


def test_an_unknown_size_is_estimated_from_the_nearest_smaller() -> None:
    place = RunPlace(inline_run_s=0.002)
    assert place.expected_s(7) == 0
    place.record(4, 0.001)

    assert place.expected_s(8) == 0.002
    assert place.expected_s(1) == 0.001


def test_a_cache_deletes_only_entries_that_have_not_been_named_for_long() -> None:
    last_named_s = {"needed": 0.0, "lately": 60.0, "long ago": 40.0, "ahead of our clock": 200.0}

    assert evictable(last_named_s, {"needed"}, now_s=100.0, keep_s=60.0) == ("long ago",)
    assert evictable(last_named_s, {"needed"}, now_s=100.0, keep_s=0.0) == ("lately", "long ago")


def version(number: int, model: str = "m") -> VersionSpec:
    return VersionSpec(
        ref=VersionRef(model, number),
        artifact_digest=f"d{number}",
        files=(),
        provenance_digest="",
        inputs=(),
        outputs=(),
        feature_set=(),
        feature_views=(),
        score_output=ScoreOutput("Y"),
        golden_tolerance=0.0,
    )


def snapshot(deployment: Deployment, *numbers: int) -> Snapshot:
    versions = tuple(version(number) for number in numbers)
    return Snapshot("a test", 1, (deployment,), versions)


DEPLOYMENT = Deployment(
    "m",
    1,
    champion=1,
    salt="s",
    challengers=(Challenger(2, 100),),
    shadows=(Shadow(3, 10_000), Shadow(2, 1)),
    fallback=Fallback(version=4),
    standby=(5,),
)


def test_every_named_version_runs_in_each_replica_and_only_shadows_are_nice() -> None:
    wanted = wanted_places(snapshot(DEPLOYMENT, 1, 2, 3, 4, 5), HostRole("h", replicas=2))

    assert set(wanted) == {Place(VersionRef("m", n), r) for n in (1, 2, 3, 4, 5) for r in (0, 1)}
    assert {place.ref.number for place, what in wanted.items() if what.only_shadows} == {3}


def test_a_version_without_a_description_is_reported_and_left_out() -> None:
    partial = snapshot(DEPLOYMENT, 1, 2)

    assert {place.ref.number for place in wanted_places(partial, HostRole("h"))} == {1, 2}
    assert undescribed_versions(partial) == tuple(VersionRef("m", n) for n in (3, 4, 5))


def test_a_change_touches_only_what_differs() -> None:
    places = [Place(VersionRef("m", number), 0) for number in (1, 2, 3)]

    change = plan_change(places[:2], places[1:])

    assert (change.start, change.stop) == ((places[2],), (places[0],))
