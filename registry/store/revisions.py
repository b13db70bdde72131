"""Deployments as numbered revisions. Every function runs in a transaction."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from registry.decisions.recorded_objects import Act, RevisionFacts
from registry.decisions.rollback import PastRevision
from registry.store.dialects import put, put_if_absent
from registry.store.schema import Row, named_versions, revisions
from understudy.domain.canonical import canonical_json
from understudy.domain.changes import Action, Ended, Revision
from understudy.domain.deployments import (
    Deployment,
    content_of,
    deployment_from_content,
    versions_in_use,
)
from understudy.domain.request_contract import contract_content, contract_from_content

_READ_AT_ONCE = 20  # revisions, of a search that usually ends soon
_GREATEST_STORED = (1 << 63) - 1  # limit of an integer in SQLite; a message may have a larger one


@dataclass(frozen=True, slots=True)
class StoredRevision:
    deployment: Deployment  # the one that an undeploy ended, under the undeploy's number
    actor: str
    action: str
    reason: str
    at_ns: int  # UTC, since 1970

    @property
    def content(self) -> Revision:
        """The deployment, or its end."""
        return Ended(self.deployment) if self.action == Action.UNDEPLOY else self.deployment

    @property
    def digest(self) -> str:
        """A digest of everything in the revision, with its author and time."""
        facts = RevisionFacts(
            self.deployment.model,
            self.deployment.revision,
            self.action,
            self.reason,
            self.deployment.digest,
            self.deployment.contract.digest,
        )
        return facts.digest(Act(self.actor, self.at_ns))


def add_revision(connection: Connection, stored: StoredRevision) -> None:
    connection.execute(revisions.insert().values(**row_of(stored)))
    for number in versions_in_use(stored.deployment):
        _name(connection, stored.deployment, number)


def history_of(connection: Connection, model: str) -> list[StoredRevision]:
    """Return every revision of a model, oldest first; empty if it was never deployed."""
    query = select(revisions).where(revisions.c.model == model).order_by(revisions.c.revision)
    return [revision_from_row(row) for row in connection.execute(query).mappings()]


def page_of(
    connection: Connection,
    model: str,
    *,
    before: int | None,
    limit: int,
    until_ns: int | None = None,
) -> list[StoredRevision]:
    """Return the last `limit` revisions below `before` that were made until then, the newest first.

    Args:
        connection: of the transaction.
        model: the model's name.
        before: number of a revision, below 2**63; None for no bound.
        limit: how many to return at most.
        until_ns: UTC, since 1970; None for no bound.
    """
    query = select(revisions).where(revisions.c.model == model)
    if until_ns is not None:
        query = query.where(revisions.c.at_ns <= min(until_ns, _GREATEST_STORED))
    if before is not None:
        query = query.where(revisions.c.revision < before)
    query = query.order_by(revisions.c.revision.desc()).limit(limit)
    return [revision_from_row(row) for row in connection.execute(query).mappings()]


def made_since(connection: Connection, model: str, from_ns: int) -> Iterator[StoredRevision]:
    """Yield the revisions made since a time and the last one before it, newest first, as they are read."""
    before: int | None = None
    while page := page_of(connection, model, before=before, limit=_READ_AT_ONCE):
        for stored in page:
            yield stored
            if stored.at_ns < from_ns:
                return
        before = page[-1].deployment.revision


def current_of(connection: Connection, model: str) -> Revision | None:
    """Return the newest revision, or None if the model was never deployed."""
    query = (
        select(revisions)
        .where(revisions.c.model == model)
        .order_by(revisions.c.revision.desc())
        .limit(1)
    )
    row = connection.execute(query).mappings().first()
    return None if row is None else revision_from_row(row).content


def past_of(connection: Connection, model: str, *, limit: int) -> list[PastRevision]:
    """Return short forms of the last `limit` revisions, the newest first."""
    query = (
        select(revisions.c.revision, revisions.c.champion, revisions.c.digest, revisions.c.action)
        .where(revisions.c.model == model)
        .order_by(revisions.c.revision.desc())
        .limit(limit)
    )
    return [PastRevision(**row) for row in connection.execute(query).mappings()]


def revision_of(connection: Connection, model: str, number: int) -> Revision | None:
    """Return one revision, or None if it does not exist."""
    if number > _GREATEST_STORED:
        return None
    query = select(revisions).where(revisions.c.model == model, revisions.c.revision == number)
    row = connection.execute(query).mappings().first()
    return None if row is None else revision_from_row(row).content


def entry_of(connection: Connection, model: str, number: int) -> StoredRevision:
    """Return one existing revision with its origin."""
    query = select(revisions).where(revisions.c.model == model, revisions.c.revision == number)
    return revision_from_row(connection.execute(query).mappings().one())


def champions_of(connection: Connection, model: str) -> tuple[int, ...]:
    """Return every current or former champion of the model, each once, the latest first."""
    table = named_versions.c
    query = (
        select(table.number)
        .where(table.model == model, table.champion_in > 0)
        .order_by(table.champion_in.desc())
    )
    return tuple(connection.execute(query).scalars())


def champions_before(connection: Connection, model: str, at_ns: int) -> frozenset[int]:
    """Return the champions of the model's revisions before a time, in ns since 1970."""
    table = revisions.c
    query = select(table.champion).where(table.model == model, table.at_ns < at_ns).distinct()
    return frozenset(connection.execute(query).scalars())


def versions_named(connection: Connection, model: str) -> frozenset[int]:
    """Return the versions in use in any revision of the model."""
    query = select(named_versions.c.number).where(named_versions.c.model == model)
    return frozenset(connection.execute(query).scalars())


def names_in(history: Iterable[Deployment]) -> dict[tuple[str, int], int]:
    """Return the content of `named_versions` by its key, as revisions in their order have written it."""
    names: dict[tuple[str, int], int] = {}
    for deployment in history:
        for number in versions_in_use(deployment):
            names.setdefault((deployment.model, number), 0)
        names[deployment.model, deployment.champion] = deployment.revision
    return names


def models_with_revisions(connection: Connection) -> list[str]:
    """Return every model that was ever deployed, in order."""
    query = select(revisions.c.model).distinct().order_by(revisions.c.model)
    return list(connection.execute(query).scalars())


def _name(connection: Connection, deployment: Deployment, number: int) -> None:
    is_champion = number == deployment.champion
    keys = {"model": deployment.model, "number": number}
    if is_champion:
        put(connection, named_versions, keys, {"champion_in": deployment.revision})
    else:
        put_if_absent(connection, named_versions, keys, {"champion_in": 0})


def row_of(stored: StoredRevision) -> dict[str, Any]:
    """Return the columns of a revision."""
    deployment = stored.deployment
    return {
        "model": deployment.model,
        "revision": deployment.revision,
        "champion": deployment.champion,
        "digest": deployment.digest,
        "content_json": canonical_json(content_of(deployment)),
        "contract_json": canonical_json(contract_content(deployment.contract)),
        "actor": stored.actor,
        "action": stored.action,
        "reason": stored.reason,
        "at_ns": stored.at_ns,
    }


def revision_from_row(row: Row) -> StoredRevision:
    """Return the revision that `row_of` wrote.

    Raises:
        InvalidInputError, ValueError, KeyError, TypeError: no registry wrote the row.
    """
    return StoredRevision(
        deployment_from_content(
            json.loads(row["content_json"]),
            row["revision"],
            contract_from_content(json.loads(row["contract_json"])),
        ),
        row["actor"],
        row["action"],
        row["reason"],
        row["at_ns"],
    )
