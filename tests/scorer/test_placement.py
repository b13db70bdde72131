"""Hosts run what they may, and a change of labels leaves no model without a scorer."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorer.decisions.fleet import HostRole, Place, wanted_places
from scorer.settings import HostSettings
from tests.scorer.conftest import StartHost
from tests.scorer.fake_registry import FakeRegistry
from tests.scorer.test_decisions import version
from tests.scorer.test_host import all_ready, deployment
from understudy.domain.deployments import Deployment
from understudy.domain.errors import InvalidInputError
from understudy.domain.placement import Placement
from understudy.domain.snapshots import News, ScorerHost, ScorerProcess, ScorerState, Snapshot
from understudy.domain.versions import VersionRef
from understudy.registry.v1 import registry_pb2 as pb
from understudy.runtime.settings import load_settings

MODEL = Deployment("m", 1, champion=1, salt="s")
LABELS = ("", "eu", "gpu")


@dataclass
class Fleets:
    """Three hosts, of which each acts on the snapshot of the moment when its turn comes."""

    asked: tuple[str, ...] = ()
    running: dict[str, set[Place]] = field(default_factory=lambda: {name: set() for name in LABELS})
    ready: dict[str, set[Place]] = field(default_factory=lambda: {name: set() for name in LABELS})

    def snapshot(self) -> Snapshot:
        return Snapshot(
            "a test",
            1,
            (replace(MODEL, host_labels=self.asked),),
            (version(1),),
            tuple(
                ScorerProcess(place.ref, 0, name or "none", ScorerState.READY, "d1", name)
                for name, places in self.ready.items()
                for place in places
            ),
            hosts=tuple(
                ScorerHost(name, News.REPORTING, placement=placement_of(name)) for name in LABELS
            ),
        )

    def follow(self, name: str) -> None:
        role = HostRole(name, placement=placement_of(name))
        self.running[name] = set(wanted_places(self.snapshot(), role, self.running[name]))
        self.ready[name] &= self.running[name]

    def load(self, name: str) -> None:
        self.ready[name] |= self.running[name]


def placement_of(name: str) -> Placement:
    return Placement(labels=(name,) if name else ())


@given(
    st.lists(
        st.tuples(st.sampled_from(["ask", "follow", "load"]), st.sampled_from(LABELS)), max_size=40
    )
)
def test_a_version_that_serves_is_served_whatever_labels_are_asked_for(
    steps: list[tuple[str, str]],
) -> None:
    fleets = Fleets()
    for name in LABELS:
        fleets.follow(name)
        fleets.load(name)
    for step, name in steps:
        if step == "ask":
            fleets.asked = (name,) if name else ()
        elif step == "follow":
            fleets.follow(name)
        else:
            fleets.load(name)
        assert any(fleets.ready.values()), "no host serves"
    for act in (fleets.follow, fleets.load, fleets.follow):
        for name in LABELS:
            act(name)
    may_run = {n for n in LABELS if placement_of(n).obstacle("m", fleets.asked) is None}
    assert {name for name, places in fleets.running.items() if places} == may_run


def test_a_host_starts_nothing_that_it_may_not_run() -> None:
    snapshot = Snapshot("a test", 1, (MODEL,), (version(1),))

    assert not wanted_places(snapshot, HostRole("h", placement=Placement(("other",))))
    assert wanted_places(snapshot, HostRole("h", placement=Placement(("m", "other"), ("gpu",))))


def test_a_silent_host_takes_nothing_over() -> None:
    place = Place(VersionRef("m", 1), 0)
    fleets = Fleets(asked=("gpu",), ready={"gpu": {place}})
    seen = fleets.snapshot()
    silent = replace(
        seen, hosts=tuple(replace(host, news=News.SILENT, silent_since_ns=1) for host in seen.hosts)
    )

    assert not wanted_places(seen, HostRole("none"), [place])
    assert wanted_places(silent, HostRole("none"), [place])


def test_settings_name_models_and_labels(tmp_path: Path) -> None:
    given = {"dir": tmp_path, "models": "fraud, credit", "labels": "gpu"}

    assert load_settings(HostSettings, given).placement == Placement(("credit", "fraud"), ("gpu",))
    with pytest.raises(InvalidInputError, match="models"):
        load_settings(HostSettings, {**given, "models": "fraud,,credit"})


async def test_a_host_reports_its_placement_and_obeys_it(
    registry: FakeRegistry, start_host: StartHost, artifact: Path
) -> None:
    mine = registry.version(VersionRef("doubler", 1), artifact)
    other = registry.version(VersionRef("other", 1), artifact)
    asking = deployment(1, host_labels=["gpu"])
    others = pb.Deployment()
    others.CopyFrom(asking)
    others.model = "other"
    await registry.publish([mine, other], [asking, others])

    await start_host("--models", "doubler", "--labels", "gpu,eu")

    (process,) = await registry.until_reported(all_ready(1))
    assert process.ref.model == "doubler"
    (placement,) = registry.placements.values()
    assert list(placement.models) == ["doubler"]
    assert list(placement.labels) == ["eu", "gpu"]
