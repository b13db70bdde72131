"""Blocks of versions: the audited act after which a version takes no part, and its end."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, Engine

from registry.decisions.actors import Actor
from registry.decisions.blocking import check_may_block
from registry.decisions.recorded_objects import Kind
from registry.store import marks, versions
from registry.store.database import reading, writing
from registry.store.marked_versions import record_mark
from registry.store.marks import Mark
from understudy.domain.deployments import Deployment
from understudy.domain.errors import RefusedError
from understudy.domain.instants import unix_ns
from understudy.domain.versions import VersionRef


@dataclass(frozen=True, slots=True)
class BlockRequest:
    """A version to block, or to release."""

    ref: VersionRef
    is_block: bool  # False: lift the block
    actor: Actor
    reason: str
    dry_run: bool
    allow_errors: bool
    deployment: Deployment | None  # the current revision with its standby; None if not deployed


@dataclass(frozen=True, slots=True)
class BlockSet:
    """The effect of a request."""

    deployment: Deployment | None  # with the blocked versions after it
    audit_digest: str  # digest of its audit row; empty for a dry run


@dataclass(frozen=True, slots=True)
class Blocker:
    """Blocks and releases in worker threads: everything here may block."""

    engine: Engine
    now: Callable[[], datetime]  # UTC

    def set_block(self, asked: BlockRequest) -> BlockSet:
        """Block or release the version, or only report the effect if it is a dry run.

        Raises:
            NotFoundError: no such version.
            RefusedError: it is in that state already, or nothing would be left to answer calls.
        """
        if asked.dry_run:
            with reading(self.engine) as connection:
                return BlockSet(_planned(connection, asked), audit_digest="")
        with writing(self.engine) as connection:
            deployment = _planned(connection, asked)
            mark = Mark(Kind.BLOCK, asked.ref, asked.actor.name, asked.reason, self._now_ns())
            digest = record_mark(connection, mark, asked.actor, begins=asked.is_block)
            return BlockSet(deployment, digest)

    def _now_ns(self) -> int:
        return unix_ns(self.now())


def _planned(connection: Connection, asked: BlockRequest) -> Deployment | None:
    ref = asked.ref
    versions.get_version(connection, ref)
    blocked = set(marks.of_model(connection, Kind.BLOCK, ref.model))
    if asked.is_block:
        check_may_block(ref, asked.deployment, blocked, allow_errors=asked.allow_errors)
        after = blocked | {ref.number}
    elif ref.number not in blocked:
        raise RefusedError(f"{ref} is not blocked")
    else:
        after = blocked - {ref.number}
    if asked.deployment is None:
        return None
    return replace(asked.deployment, blocked=tuple(sorted(after)))
