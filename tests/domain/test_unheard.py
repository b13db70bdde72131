"""The scorers that a watcher keeps when a registry has no report of their host."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tests.router.samples import MODEL, deployment, spec
from understudy.domain.snapshots import News, ScorerHost, ScorerProcess, ScorerState, Snapshot
from understudy.domain.unheard import with_unheard
from understudy.domain.versions import VersionRef

HOSTS = ("a", "b", "c")
NUMBERS = (1, 2, 3)


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    """Return a state in which some hosts have reported some processes."""
    champion = draw(st.sampled_from(NUMBERS))
    deployed = deployment(champion=champion, standby=draw(st.sampled_from([(), (2,)])))
    reported = draw(st.sets(st.sampled_from(HOSTS)))
    processes = [
        ScorerProcess(
            ref=VersionRef(MODEL, draw(st.sampled_from(NUMBERS))),
            replica=0,
            address=draw(st.sampled_from(["10.0.0.1:1", "10.0.0.1:2", "10.0.0.2:1"])),
            state=draw(st.sampled_from([ScorerState.READY, ScorerState.RESTARTING])),
            artifact_digest="",
            host_id=host,
        )
        for host in sorted(reported)
        for _ in range(draw(st.integers(0, 2)))
    ]
    specs = tuple(spec(number) for number in NUMBERS)
    return Snapshot(
        "a test",
        draw(st.integers(1, 9)),
        deployments=draw(st.sampled_from([(deployed,), ()])),
        versions=specs,
        scorers=tuple(
            replace(each, artifact_digest=specs[each.ref.number - 1].artifact_digest)
            for each in processes
        ),
        hosts=tuple(ScorerHost(host, News.REPORTING) for host in sorted(reported)),
    )


@given(st.lists(snapshots(), min_size=1, max_size=5))
def test_a_ready_scorer_leaves_only_by_a_word_about_it(received: list[Snapshot]) -> None:
    believed: Snapshot | None = None
    for snapshot in received:
        before, believed = believed, with_unheard(believed, snapshot)
        assert set(snapshot.scorers) <= set(believed.scorers)
        for process in () if before is None else before.scorers:
            if process.state is not ScorerState.READY or process in believed.scorers:
                continue
            host_spoke = process.host_id in {host.host_id for host in snapshot.hosts}
            is_taken = process.address in {each.address for each in snapshot.scorers}
            needed = {
                VersionRef(each.model, number)
                for each in snapshot.deployments
                for number in (each.champion, *each.standby)
            }
            assert host_spoke or is_taken or process.ref not in needed


@given(snapshots(), snapshots())
def test_the_absence_of_news_has_a_name(first: Snapshot, second: Snapshot) -> None:
    believed = with_unheard(first, second)

    kept = {process.host_id for process in believed.scorers[len(second.scorers) :]}
    assert {h.host_id for h in believed.hosts if h.news is News.UNHEARD} == kept
    assert with_unheard(believed, second) == believed
