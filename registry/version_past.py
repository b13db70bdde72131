"""The past of a registered version: its origin, and the surroundings of its registration."""

import json
from datetime import datetime

from sqlalchemy import Connection

from registry.decisions.version_statement import VersionStatement, statement_from_content
from registry.store import audit_log, revisions, versions
from registry.store.versions import StoredVersion
from understudy.domain.errors import CorruptedError, InvalidInputError
from understudy.gate.submission import Surroundings


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
    ref = stored.spec.ref
    for row in audit_log.registrations_at(connection, ref.model, stored.registered_at_ns):
        try:
            details = json.loads(row.details_json)
            if details["version"] == str(ref):
                given = details.get("origin")
                return None if given is None else statement_from_content(given)
        except (ValueError, KeyError, TypeError, AttributeError, InvalidInputError) as error:
            raise CorruptedError(f"row {row.sequence} of the audit log cannot be read") from error
    return None
