"""Blocks of versions: the audited act after which a version takes no part, and its end."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, Engine

from registry.decisions.actors import Actor
from registry.decisions.blocking import check_may_block
from registry.store import audit_log, blocks, versions
from registry.store.blocks import Block
from registry.store.database import reading, writing
from understudy.domain.canonical import canonical_json
from understudy.domain.changes import Action
from understudy.domain.deployments import Deployment
from understudy.domain.errors import RefusedError
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
            at_ns = round(self.now().timestamp() * 1e9)
            block = Block(asked.ref, asked.actor.name, asked.reason, at_ns)
            if asked.is_block:
                blocks.add(connection, block)
            else:
                blocks.remove(connection, asked.ref)
            event = audit_log.Event(
                at_ns=at_ns,
                actor=asked.actor,
                action=Action.BLOCK if asked.is_block else Action.UNBLOCK,
                model=asked.ref.model,
                reason=asked.reason,
                details_json=canonical_json({"version": str(asked.ref), "digest": block.digest}),
            )
            return BlockSet(deployment, audit_log.append(connection, event))


def _planned(connection: Connection, asked: BlockRequest) -> Deployment | None:
    ref = asked.ref
    versions.get_version(connection, ref)
    blocked = set(blocks.of_model(connection, ref.model))
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
