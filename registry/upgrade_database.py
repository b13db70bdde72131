"""The upgrade of a database to the schema of this build: all steps, verified, in one transaction."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, Engine

from registry.decisions.actors import Actor
from registry.store import audit_log, schema
from registry.store.database import existing, found_schema, reading, upgrading
from registry.store.postgresql import PostgresqlPlace
from registry.store.schema_steps import Step, steps_from, take
from registry.store.sqlite import copy_database
from registry.verify_registry import first_faults, schema_faults, verify_database
from understudy.domain.canonical import canonical_json
from understudy.domain.changes import Action
from understudy.domain.errors import CorruptedError, RefusedError
from understudy.domain.instants import unix_ns


@dataclass(frozen=True, slots=True)
class PlannedUpgrade:
    """The steps that a database needs."""

    found: int  # number of its schema
    steps: tuple[Step, ...]  # none: it has the schema of this build


@dataclass(frozen=True, slots=True)
class UpgradedDatabase:
    """The effect of an upgrade."""

    plan: PlannedUpgrade
    copy: Path | None = None  # of the file as it was; None for PostgreSQL, or without a step
    audit_digest: str = ""  # digest of its audit row; empty without a step


def plan_upgrade(place: Path | PostgresqlPlace) -> PlannedUpgrade:
    """Return the steps that the database needs; nothing is changed.

    Raises:
        InvalidInputError: no registry has written a database there.
        RefusedError: no steps lead from its schema.
        UnavailableError: it cannot be read.
    """
    with existing(place) as engine:
        return _plan(engine)


def upgrade_database(
    place: Path | PostgresqlPlace, actor: Actor, reason: str, now: datetime
) -> UpgradedDatabase:
    """Take all steps, record the act, verify the result, and commit it all at once. Blocks.

    Args:
        place: of the database; the directory of a file is locked by the caller.
        actor: for the audit log.
        reason: as well.
        now: UTC.

    Raises:
        InvalidInputError, UnavailableError: see `plan_upgrade`; or the copy cannot be written.
        RefusedError: no steps lead from its schema, or a registry serves from it.
        CorruptedError: the result would not be intact; the database is as it was.
    """
    with existing(place) as engine:
        plan = _plan(engine)
        if not plan.steps:
            return UpgradedDatabase(plan)
        copy = _copied(engine, place, plan.found) if isinstance(place, Path) else None
        with upgrading(engine) as connection:
            plan = _planned(connection)  # anew: another upgrade may have held the lock
            if not plan.steps:
                return UpgradedDatabase(plan)
            for step in plan.steps:
                take(connection, step)
            digest = _record(connection, plan, actor, reason, now)
            _require_intact(connection, plan)
        return UpgradedDatabase(plan, copy, digest)


def _plan(engine: Engine) -> PlannedUpgrade:
    with reading(engine) as connection:
        return _planned(connection)


def _planned(connection: Connection) -> PlannedUpgrade:
    found = found_schema(connection)
    if (refusal := schema.SCHEMAS.refusal_to_upgrade(found)) is not None:
        raise RefusedError(refusal)
    return PlannedUpgrade(found, steps_from(found))


def _copied(engine: Engine, file: Path, found: int) -> Path:
    """Copy the file of SQLite beside itself, under a name with its schema."""
    copy = file.with_name(f"{file.name}.schema-{found}")
    with reading(engine) as connection:
        copy_database(connection, copy)
    return copy


def _record(
    connection: Connection, plan: PlannedUpgrade, actor: Actor, reason: str, now: datetime
) -> str:
    details = {"from_schema": plan.found, "to_schema": plan.steps[-1].schema}
    return audit_log.append(
        connection,
        audit_log.Event(
            at_ns=unix_ns(now),
            actor=actor,
            action=Action.UPGRADE,
            model="",
            reason=reason,
            details_json=canonical_json(details),
        ),
    )


def _require_intact(connection: Connection, plan: PlannedUpgrade) -> None:
    if faults := schema_faults(connection) or verify_database(connection).faults:
        raise CorruptedError(
            f"the database stays at schema {plan.found}, because it would not be intact with schema "
            f"{plan.steps[-1].schema}: {first_faults(faults)}"
        )
