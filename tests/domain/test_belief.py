"""The states that a watcher believes: by table, and over arbitrary lives of registries."""

from dataclasses import dataclass, field, replace
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.router.samples import spec
from understudy.domain.belief import Refusal, RefusalReason, judge
from understudy.domain.deployments import Deployment
from understudy.domain.snapshots import (
    Epoch,
    ScorerProcess,
    ScorerState,
    Snapshot,
    Undeployed,
)
from understudy.domain.versions import VersionRef

MODELS = ("fraud", "churn")


def deployment(model: str, revision: int, *, champion: int = 1) -> Deployment:
    return Deployment(model, revision, champion=champion, salt=model)


def state(sequence: int, *deployments: Deployment, **facts: object) -> Snapshot:
    return replace(Snapshot("a", sequence, deployments), **facts)  # type: ignore[arg-type]


def scorer(model: str, address: str) -> ScorerProcess:
    return ScorerProcess(VersionRef(model, 1), 0, address, ScorerState.READY, "", "host")


FRAUD_5 = deployment("fraud", 5)
IN_EFFECT = state(7, FRAUD_5, epochs=(Epoch("e1", 3), Epoch("e2", 9)))
HISTORY = IN_EFFECT.epochs


def test_the_first_state_is_believed() -> None:
    assert judge(None, IN_EFFECT) == IN_EFFECT


@pytest.mark.parametrize(
    ("received", "reason"),
    [
        (replace(IN_EFFECT, lineage="b", sequence=99), RefusalReason.ANOTHER_LINEAGE),
        (replace(IN_EFFECT, lineage="b", succeeds=("c",)), RefusalReason.ANOTHER_LINEAGE),
        (replace(IN_EFFECT, sequence=6), RefusalReason.SEQUENCE_WENT_BACK),
        (state(99, FRAUD_5), RefusalReason.HISTORY_LOST),
        (state(99, FRAUD_5, epochs=(Epoch("e1", 3),)), RefusalReason.HISTORY_LOST),
        (
            state(99, FRAUD_5, epochs=(Epoch("e1", 3), Epoch("e2", 8), Epoch("e3", 20))),
            RefusalReason.HISTORY_LOST,
        ),
        (state(99, deployment("fraud", 4), epochs=HISTORY), RefusalReason.REVISION_REUSED),
        (
            state(99, deployment("fraud", 5, champion=2), epochs=HISTORY),
            RefusalReason.REVISION_REUSED,
        ),
        (
            replace(IN_EFFECT, lineage="b", succeeds=("a",), deployments=(deployment("fraud", 4),)),
            RefusalReason.REVISION_REUSED,
        ),
    ],
)
def test_a_state_that_does_not_continue_is_refused(
    received: Snapshot, reason: RefusalReason
) -> None:
    refusal = judge(IN_EFFECT, received)

    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.lineage) == (reason, received.lineage)


@pytest.mark.parametrize(
    "received",
    [
        IN_EFFECT,  # sent again after a reconnection
        replace(IN_EFFECT, sequence=8),
        replace(IN_EFFECT, sequence=8, epochs=(Epoch("e1", 3), Epoch("e2", 10))),
        replace(IN_EFFECT, sequence=8, epochs=(*HISTORY, Epoch("e3", 11))),
        replace(IN_EFFECT, sequence=8, epochs=(HISTORY[-1], Epoch("e3", 11))),  # older ones omitted
        replace(IN_EFFECT, lineage="b", sequence=1, epochs=(), succeeds=("x", "a")),
        state(8, deployment("fraud", 6, champion=2), epochs=HISTORY),
    ],
)
def test_a_state_that_continues_is_believed(received: Snapshot) -> None:
    assert judge(IN_EFFECT, received) == received


def test_an_absent_deployment_stays_with_its_version_and_scorers() -> None:
    ours, theirs = scorer("fraud", "127.0.0.1:1"), scorer("churn", "127.0.0.1:2")
    before = replace(IN_EFFECT, versions=(spec(1),), scorers=(ours, theirs))
    empty = state(8, deployment("churn", 1), epochs=HISTORY, scorers=(theirs,))

    kept = judge(before, empty)

    assert kept == replace(
        empty,
        deployments=(deployment("churn", 1), FRAUD_5),
        versions=before.versions,
        scorers=(theirs, ours),
    )


def test_a_ready_scorer_of_a_host_without_a_report_stays() -> None:
    described = spec(1)
    ready = replace(scorer("fraud", "127.0.0.1:1"), artifact_digest=described.artifact_digest)
    before = replace(IN_EFFECT, versions=(described,), scorers=(ready,))

    judged = judge(before, replace(before, sequence=8, scorers=(), hosts=()))

    assert isinstance(judged, Snapshot)
    assert judged.scorers == (ready,)


def test_a_version_that_is_not_described_any_more_stays_described() -> None:
    before = replace(IN_EFFECT, versions=(spec(1),))

    kept = judge(before, replace(IN_EFFECT, sequence=8))

    assert isinstance(kept, Snapshot)
    assert kept.versions == before.versions


@pytest.mark.parametrize(("ended_at", "is_in_effect"), [(6, False), (5, True), (4, True)])
def test_only_a_later_undeploy_ends_a_deployment(ended_at: int, is_in_effect: bool) -> None:
    judged = judge(IN_EFFECT, state(8, epochs=HISTORY, undeployed=(Undeployed("fraud", ended_at),)))

    assert isinstance(judged, Snapshot)
    assert judged.deployments == ((FRAUD_5,) if is_in_effect else ())


@dataclass(frozen=True)
class Database:
    """A registry's database, as values: a copy is the same object."""

    lineage: str
    changes: tuple[int, ...] = ()  # each change has a number of its own, over all databases
    epochs: tuple[str, ...] = ()
    firsts: tuple[int, ...] = ()  # length of the history at the beginning of each epoch
    revisions: dict[str, Deployment] = field(default_factory=dict)
    ended: dict[str, int] = field(default_factory=dict)


class World:
    """Registries that are started, changed, copied, restored and wiped, and one watcher."""

    def __init__(self) -> None:
        self.unique = count(1)
        self.database = Database("lineage 0")
        self.copies = [self.database]
        self.sent = 0  # by the process that runs
        self.histories: dict[tuple[str, int, str], tuple[int, ...]] = {}
        self.start()

    def start(self) -> None:
        before = self.database
        self.database = replace(
            before,
            epochs=(*before.epochs, f"epoch {next(self.unique)}"),
            firsts=(*before.firsts, len(before.changes)),
        )
        self.sent = len(self.database.epochs) << 32

    def change(self, model: str) -> None:
        number = next(self.unique)
        before = self.database
        last = before.revisions.get(model)
        revision = max(before.ended.get(model, 0), last.revision if last else 0) + 1
        self.database = replace(
            before,
            changes=(*before.changes, number),
            revisions={**before.revisions, model: deployment(model, revision, champion=number)},
            ended={each: at for each, at in before.ended.items() if each != model},
        )

    def undeploy(self, model: str) -> None:
        before = self.database
        if (last := before.revisions.get(model)) is not None:
            self.database = replace(
                before,
                changes=(*before.changes, next(self.unique)),
                revisions={m: d for m, d in before.revisions.items() if m != model},
                ended={**before.ended, model: last.revision + 1},
            )

    def lose(self, model: str) -> None:
        """Lose rows without an undeploy."""
        kept = {m: d for m, d in self.database.revisions.items() if m != model}
        self.database = replace(self.database, revisions=kept)

    def copy(self) -> None:
        self.copies.append(self.database)

    def restore(self, index: int) -> None:
        self.database = self.copies[index % len(self.copies)]
        self.start()

    def wipe(self) -> None:
        self.database = Database(f"lineage {next(self.unique)}")
        self.start()

    def publish(self) -> Snapshot:
        self.sent += 1
        now = self.database
        ends = (*now.firsts[1:], len(now.changes))
        return Snapshot(
            now.lineage,
            self.sent,
            tuple(now.revisions.values()),
            undeployed=tuple(Undeployed(m, at) for m, at in now.ended.items()),
            epochs=tuple(Epoch(e, end) for e, end in zip(now.epochs, ends, strict=True)),
        )


MODEL = st.sampled_from(MODELS)
STEPS = st.one_of(
    st.tuples(st.just("change"), MODEL),
    st.tuples(st.just("undeploy"), MODEL),
    st.tuples(st.just("lose"), MODEL),
    st.tuples(st.just("restore"), st.integers(0, 9)),
    st.tuples(st.sampled_from(["start", "copy", "wipe"])),
)


@given(st.lists(STEPS, max_size=30))
def test_a_watcher_follows_one_history_and_loses_no_deployment(
    steps: list[tuple[str, *tuple[object, ...]]],
) -> None:
    world = World()
    believed: Snapshot | None = None
    history: tuple[int, ...] = ()  # of the believed state
    for name, *arguments in steps:
        getattr(world, name)(*arguments)
        received = world.publish()
        judged = judge(believed, received)
        if isinstance(judged, Refusal):
            continue
        if believed is not None:
            assert judged.lineage == believed.lineage
            assert world.database.changes[: len(history)] == history
            for before in believed.deployments:
                after = {each.model: each for each in judged.deployments}.get(before.model)
                if after is None:
                    assert world.database.ended[before.model] > before.revision
                else:
                    assert (after.revision, after.digest) >= (before.revision, "")
                    assert after.revision > before.revision or after.digest == before.digest
        believed, history = judged, world.database.changes


@given(st.lists(STEPS, max_size=30))
def test_a_registry_that_only_restarts_is_always_believed(
    steps: list[tuple[str, *tuple[object, ...]]],
) -> None:
    world = World()
    believed: Snapshot | None = None
    for name, *arguments in steps:
        if name in {"change", "undeploy", "start"}:
            getattr(world, name)(*arguments)
            judged = judge(believed, world.publish())
            assert isinstance(judged, Snapshot)
            believed = judged


def test_a_block_and_its_end_follow_under_the_same_revision() -> None:
    in_effect = state(5, deployment("fraud", 4))
    [present] = in_effect.deployments
    blocked = replace(in_effect, sequence=6, deployments=(replace(present, blocked=(2,)),))
    released = replace(in_effect, sequence=7)

    assert judge(in_effect, blocked) == blocked
    assert judge(blocked, released) == released
