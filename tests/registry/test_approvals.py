"""No version answers callers without the approvals that its model demands, whatever the way."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from sqlalchemy import Engine

from registry.approve_version import PolicyRequest, Voted, Voter, VoteRequest
from registry.block_version import Blocker, BlockRequest
from registry.change_deployment import ApprovalRules, Changed, ChangeRequest, DeploymentChanger
from registry.decisions.actors import Actor, Proof
from registry.decisions.approvals import Vote, VoteKind, standing_of
from registry.decisions.traffic import answering_gains
from registry.settings import RegistrySettings
from registry.store import audit_log, revisions
from registry.store.database import open_database, reading
from registry.verify_registry import verify_database
from tests.registry.samples import ACTOR
from tests.registry.test_changes import CHANGES, History
from understudy.domain.changes import (
    Change,
    DeployChampion,
    Promote,
    Rollback,
    SetCanary,
    SetFallback,
    SetShadow,
)
from understudy.domain.deployments import Deployment, Fallback
from understudy.domain.errors import (
    ConflictError,
    InvalidInputError,
    PermissionRefusedError,
    RefusedError,
    UnderstudyError,
)
from understudy.domain.versions import VersionRef
from understudy.provenance.meaning import is_same_person

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY_S = 86_400.0
FRAUD = [VersionRef("fraud", number) for number in (1, 2)]


class Bank:
    """A registry's database with people who act on it, on a clock of its own."""

    def __init__(self, engine: Engine, *, least: int = 0) -> None:
        self.engine = engine
        self.now = NOON
        names = frozenset({ACTOR, "bob", "carol"})
        rules = ApprovalRules(least, lambda: names)
        self._changer = DeploymentChanger(engine, lambda: self.now, approvals=rules)
        self._voter = Voter(engine, lambda: self.now, 30 * DAY_S, least)
        self._blocker = Blocker(engine, lambda: self.now)

    def demand(self, approvers: int, actor: Actor | None = None) -> None:
        root = Actor("root", Proof.TOKEN) if actor is None else actor
        asked = PolicyRequest("fraud", approvers, root, "the rules", dry_run=False)
        self._voter.set_policy(asked)

    def vote(
        self, name: str, number: int, kind: VoteKind = VoteKind.APPROVE, **options: Any
    ) -> Voted:
        chosen = {
            "content_digest": None,
            "lasts_s": None,
            "actor": Actor(name, Proof.TOKEN),
            "reason": "read its report",
            "dry_run": False,
            **options,
        }
        return self._voter.vote(VoteRequest(VersionRef("fraud", number), kind, **chosen))

    def change(self, change: Change, *, dry_run: bool = False) -> Changed:
        olga = Actor("olga", Proof.TOKEN)
        asked = ChangeRequest("fraud", change, "a test", olga, None, dry_run=dry_run)
        return self._changer.change(asked)

    def block(self, number: int, *, is_block: bool = True) -> None:
        self._blocker.set_block(
            BlockRequest(
                VersionRef("fraud", number),
                is_block=is_block,
                actor=Actor("olga", Proof.TOKEN),
                reason="an incident",
                dry_run=False,
                allow_errors=True,
                deployment=None,
            )
        )

    def faults(self) -> tuple[str, ...]:
        with self.engine.connect() as connection:
            return verify_database(connection).faults


@pytest.fixture
def engine(seeded: Path) -> Iterator[Engine]:
    opened = open_database(seeded / "registry.sqlite")
    yield opened
    opened.dispose()


@pytest.fixture
def bank(engine: Engine) -> Bank:
    return Bank(engine)


def test_without_a_policy_no_approval_is_demanded(bank: Bank) -> None:
    assert bank.change(DeployChampion(1)).approved is None


def test_a_new_version_answers_no_one_without_an_approval_but_may_shadow(bank: Bank) -> None:
    bank.change(DeployChampion(1))
    bank.demand(1)

    bank.change(SetShadow(2, 10_000))
    for change in (
        SetCanary(2, 100),
        DeployChampion(2),
        SetFallback(Fallback(version=2)),
    ):
        with pytest.raises(RefusedError, match=r"fraud@2 needs 1 approvals.*bob, carol"):
            bank.change(change, dry_run=True)
        with pytest.raises(RefusedError, match=r"fraud@2 needs 1 approvals"):
            bank.change(change)

    bank.vote("bob", 2)
    bank.change(SetCanary(2, 100))
    promoted = bank.change(Promote(2))
    with reading(bank.engine) as connection:
        row = audit_log.page_of(connection, "fraud", before=None, limit=1)[0].row
    assert promoted.applied
    assert '"approvals_needed":1' in row.details_json
    assert '"approved_by":{"2":["bob"]}' in row.details_json
    assert bank.faults() == ()


def test_two_approvals_are_those_of_two_people(bank: Bank) -> None:
    bank.demand(2)
    bank.vote("bob", 1)
    bank.vote("Bob", 1)
    with pytest.raises(RefusedError, match="it has Bob; could approve: carol"):
        bank.change(DeployChampion(1))
    bank.vote("carol", 1)

    assert bank.change(DeployChampion(1)).applied


@pytest.mark.parametrize("name", [ACTOR, "Ada@Lab", "ada+ci@lab"])
def test_no_author_approves_the_own_version_but_may_reject_it(bank: Bank, name: str) -> None:
    with pytest.raises(PermissionRefusedError, match="its author is ada@lab"):
        bank.vote(name, 1)
    assert bank.vote(name, 1, VoteKind.REJECT).audit_digest


@pytest.mark.parametrize(
    ("actor", "error"),
    [
        (Actor("bob"), RefusedError),
        (Actor("bob", Proof.TOKEN, on_behalf_of="carol"), PermissionRefusedError),
    ],
)
def test_a_vote_is_a_proven_persons_own(
    bank: Bank, actor: Actor, error: type[UnderstudyError]
) -> None:
    with pytest.raises(error):
        bank.vote("", 1, actor=actor)
    assert bank.vote("bob", 1).vote.place == 1


def test_a_policy_is_set_by_a_proven_name_and_only_to_another_number(bank: Bank) -> None:
    with pytest.raises(RefusedError, match="without proof"):
        bank.demand(1, Actor("root"))
    with pytest.raises(RefusedError, match="0 approvals already"):
        bank.demand(0)
    bank.demand(2)
    with pytest.raises(RefusedError, match="2 approvals already"):
        bank.demand(2)


def test_an_approval_is_bound_to_the_content_and_to_its_time(bank: Bank) -> None:
    bank.demand(1)
    with pytest.raises(ConflictError, match="has the content"):
        bank.vote("bob", 1, content_digest="0" * 64)
    with pytest.raises(InvalidInputError, match="the longest of this registry"):
        bank.vote("bob", 1, lasts_s=31 * DAY_S)
    bank.vote("bob", 1, lasts_s=DAY_S)
    bank.now += timedelta(days=1)
    with pytest.raises(RefusedError, match="it has none"):
        bank.change(DeployChampion(1))
    bank.vote("bob", 1)

    assert bank.change(DeployChampion(1)).applied


@pytest.mark.parametrize("ended", ["rejected", "blocked"])
def test_a_rejection_or_a_block_ends_the_approvals_before_it(bank: Bank, ended: str) -> None:
    bank.demand(1)
    bank.vote("bob", 1)
    if ended == "rejected":
        bank.vote("carol", 1, VoteKind.REJECT, reason="its label leaks")
    else:
        bank.block(1)
        bank.block(1, is_block=False)
    with pytest.raises(
        RefusedError, match=r"rejected by carol: its label|voided by olga: block: an"
    ):
        bank.change(DeployChampion(1))
    bank.vote("bob", 1)

    assert bank.change(DeployChampion(1)).applied
    assert bank.faults() == ()


def test_the_way_back_and_a_champion_that_stays_need_no_approval(bank: Bank) -> None:
    bank.change(DeployChampion(1))
    bank.change(SetCanary(2, 5_000))
    bank.demand(2)
    bank.change(SetCanary(2, 100))  # less than before; the champion gets the rest
    with pytest.raises(RefusedError):
        bank.change(SetCanary(2, 101))

    assert bank.change(Rollback()).applied


def test_a_dry_run_leaves_no_vote(bank: Bank) -> None:
    planned = bank.vote("bob", 1, dry_run=True)

    assert (planned.audit_digest, planned.candidate.standing.approvers) == ("", ("bob",))
    assert bank.vote("bob", 1).vote.place == 1


def test_the_least_number_of_a_registry_holds_for_each_model(engine: Engine) -> None:
    bank = Bank(engine, least=1)
    with pytest.raises(RefusedError, match="needs 1 approvals"):
        bank.change(DeployChampion(1))
    with pytest.raises(ValidationError, match="least_approvers needs identities"):
        RegistrySettings.model_validate({"dir": Path(), "least_approvers": 1})


def test_each_change_has_its_approvals_in_the_order_of_the_log(bank: Bank) -> None:
    """Votes and changes race; the log, replayed, shows no change that was not allowed."""
    bank.change(DeployChampion(1))
    bank.demand(1)
    canaries: list[Change] = [SetCanary(2, bp) for bp in range(100, 1_300, 100)]

    def act(step: int) -> None:
        with suppress(RefusedError, PermissionRefusedError):
            match step % 3:
                case 0:
                    bank.vote("bob", 2)
                case 1:
                    bank.vote("carol", 2, VoteKind.REJECT)
                case _:
                    bank.change(canaries[step // 3])

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(act, range(36)))

    with reading(bank.engine) as connection:
        log = [each.row for each in audit_log.read_all(connection)]
        made = {
            row.to_revision: revisions.revision_of(connection, "fraud", row.to_revision)
            for row in log
            if row.to_revision
        }
    is_approved, before_bp = False, 0
    for row in log:
        is_approved = {"approve": True, "reject": False}.get(row.action, is_approved)
        after = made.get(row.to_revision)
        if isinstance(after, Deployment):
            bp = sum(each.weight_bp for each in after.challengers)
            assert is_approved or bp <= before_bp, f"row {row.sequence} was not allowed"
            before_bp = bp
    assert bank.faults() == ()


VOTES = st.builds(
    Vote,
    ref=st.just(FRAUD[0]),
    place=st.just(1),
    kind=st.sampled_from(VoteKind),
    content_digest=st.sampled_from(["a", "b"]),
    actor=st.sampled_from(["ann", "Ann", "bob", "carol@lab", "carol+x@lab"]),
    reason=st.just(""),
    at_ns=st.just(0),
    expires_ns=st.integers(0, 5),
)


@given(st.lists(VOTES, max_size=8), st.integers(0, 5))
def test_only_the_votes_after_the_last_end_count_and_one_for_each_person(
    votes: list[Vote], now_ns: int
) -> None:
    found = standing_of(votes, "a", now_ns)

    ends = [at for at, vote in enumerate(votes) if vote.kind is not VoteKind.APPROVE]
    rest = votes[ends[-1] + 1 :] if ends else votes
    valid = [each for each in rest if each.content_digest == "a" and now_ns < each.expires_ns]
    people: list[str] = []
    for each in valid:
        if not any(is_same_person(each.actor, other) for other in people):
            people.append(each.actor)
    assert all(each in valid for each in found.approvals)
    assert len(found.approvals) == len(people)
    assert (found.ended_by is not None) == (bool(ends) and not valid)


def answers_bp(deployment: Deployment | None, number: int) -> int:
    """Return the share of calls that a version answers; 0 as a fallback only, -1 as none."""
    if deployment is None:
        return -1
    live = {each.version: each.weight_bp for each in deployment.challengers}
    if number == deployment.champion:
        return 10_000 - sum(live.values())
    return live.get(number, 0 if number == deployment.fallback.version else -1)


@given(st.lists(CHANGES, max_size=12))
def test_a_version_that_answers_more_than_before_is_always_among_the_gains(
    changes: list[Change],
) -> None:
    history = History()
    before: Deployment | None = None
    for change in changes:
        with suppress(UnderstudyError):
            history.make(change)
        current = history.revisions[-1] if history.revisions else None
        after = current if isinstance(current, Deployment) else None
        if after is not None:
            more = {n for n in range(1, 6) if answers_bp(after, n) > answers_bp(before, n)}
            stays = {after.champion} if before and before.champion == after.champion else set()
            assert answering_gains(before, after) == more - stays
        before = after
