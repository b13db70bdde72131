"""Tags of versions: set, moved and removed, each with its row of the audit log."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine

from registry.decisions.actors import Actor
from registry.decisions.tagging import check_may_tag, check_may_untag
from registry.store import audit_log, tags, versions
from registry.store.database import reading, writing
from registry.store.tags import Tag
from understudy.domain.canonical import canonical_json
from understudy.domain.changes import Action
from understudy.domain.instants import unix_ns
from understudy.domain.versions import VersionRef


@dataclass(frozen=True, slots=True)
class TagRequest:
    """A tag to set, or to remove."""

    model: str
    name: str
    number: int | None  # of the version that gets it; None: it is removed
    moves: bool  # it may leave the version that has it
    actor: Actor
    reason: str
    dry_run: bool


@dataclass(frozen=True, slots=True)
class TagSet:
    """The effect of a request."""

    before: int | None  # number of the version that had the tag; None if none had it
    audit_digest: str  # digest of its audit row; empty for a dry run


@dataclass(frozen=True, slots=True)
class Tagger:
    """Sets and removes tags in worker threads: everything here may block."""

    engine: Engine
    now: Callable[[], datetime]  # UTC

    def set_tag(self, asked: TagRequest) -> TagSet:
        """Set or remove the tag, or only report the effect if it is a dry run.

        Raises:
            NotFoundError: no such version, or no such tag to remove.
            RefusedError: see `check_may_tag`.
        """
        if asked.dry_run:
            with reading(self.engine) as connection:
                return TagSet(_planned(connection, asked), audit_digest="")
        with writing(self.engine) as connection:
            before = _planned(connection, asked)
            return TagSet(before, self._write(connection, asked, before))

    def _write(self, connection: Connection, asked: TagRequest, before: int | None) -> str:
        number = asked.number if asked.number is not None else before
        assert number is not None  # noqa: S101 - a tag to remove is there
        at_ns = unix_ns(self.now())
        ref = VersionRef(asked.model, number)
        tag = Tag(asked.name, ref, asked.actor.name, asked.reason, at_ns)
        if asked.number is None:
            tags.remove(connection, asked.model, asked.name)
        else:
            tags.put(connection, tag)
        details = {"version": str(ref), "tag": asked.name, "digest": tag.digest}
        return audit_log.append(
            connection,
            audit_log.Event(
                at_ns=at_ns,
                actor=asked.actor,
                action=Action.UNTAG if asked.number is None else Action.TAG,
                model=asked.model,
                reason=asked.reason,
                details_json=canonical_json(details),
            ),
        )


def _planned(connection: Connection, asked: TagRequest) -> int | None:
    """Return the number of the version that has the tag now."""
    present = {n: each.ref.number for n, each in tags.of_model(connection, asked.model).items()}
    if asked.number is None:
        return check_may_untag(asked.model, asked.name, present)
    ref = VersionRef(asked.model, asked.number)
    versions.get_version(connection, ref)
    check_may_tag(ref, asked.name, present, moves=asked.moves)
    return present.get(asked.name)
