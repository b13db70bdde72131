"""The past of a registered version: its origin, and the surroundings of its registration."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from registry.decisions.actors import Proof
from registry.decisions.audit_chain import AuditRow
from registry.decisions.version_statement import VersionStatement, statement_from_content
from registry.store import audit_log, revisions, versions
from registry.store.versions import StoredVersion
from understudy.domain.errors import CorruptedError, InvalidInputError
from understudy.gate.submission import Surroundings

_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, InvalidInputError)


def surroundings_then(
    connection: Connection, stored: StoredVersion, now: datetime, onnxruntime: str
) -> Surroundings:
    """Return the versions and champions that were there at the registration, with the dates of now.

    So a first version stays one.

    Raises:
        CorruptedError: its row in the log is not readable.
    """
    ref = stored.spec.ref
    others = versions.all_refs(connection)
    origin = origin_of(connection, stored)
    return Surroundings(
        actor=stored.registered_by,
        now=now,
        versions=frozenset(o for o in others if o.model != ref.model or o.number < ref.number),
        champions=revisions.champions_before(connection, ref.model, stored.registered_at_ns),
        view_digests=versions.view_digests(connection),
        onnxruntime=onnxruntime,
        origin_actor=None if origin is None else origin.actor,
    )


def origin_of(connection: Connection, stored: StoredVersion) -> VersionStatement | None:
    """Return the origin of a version, from the row that records its registration; None if it is here.

    Raises:
        CorruptedError: the row is not one that a registry wrote.
    """
    found = _registration_of(connection, stored)
    if found is None or (given := found[1].get("origin")) is None:
        return None
    try:
        return statement_from_content(given)
    except _UNREADABLE as error:
        raise _corrupted(found[0]) from error


def names_were_proven(connection: Connection, stored: StoredVersion) -> bool:
    """Return whether the caller who registered a version here proved a name, and it has no origin.

    Raises:
        CorruptedError: the row in the log is not one that a registry wrote.
    """
    found = _registration_of(connection, stored)
    return found is not None and found[0].proof != Proof.UNPROVEN and "origin" not in found[1]


def _registration_of(
    connection: Connection, stored: StoredVersion
) -> tuple[AuditRow, Mapping[str, Any]] | None:
    """Return the row that records the registration, with its details; None if there is none."""
    ref = stored.spec.ref
    for row in audit_log.registrations_at(connection, ref.model, stored.registered_at_ns):
        try:
            details: dict[str, Any] = json.loads(row.details_json)
            if details["version"] == str(ref):
                return row, details
        except _UNREADABLE as error:
            raise _corrupted(row) from error
    return None


def _corrupted(row: AuditRow) -> CorruptedError:
    return CorruptedError(f"row {row.sequence} of the audit log cannot be read")
