"""An upgrade carries the database of an earlier release forward: all of it, verified, or nothing."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData

from registry.store import audit_log, schema
from registry.store.database import existing, found_schema, open_database, reading
from registry.store.dialects import dialect_of
from registry.store.schema_steps import steps_from
from registry.store.shared_schema import shared_metadata
from registry.upgrade_database import UpgradedDatabase, plan_upgrade, upgrade_database
from registry.verify_registry import verify_database
from tests.registry.commands import command, json_of
from tests.registry.earlier_schema import (
    ADA,
    FOUND,
    REASON,
    Earlier,
    Place,
    in_postgresql,
    in_sqlite,
    rows_of,
    state_of,
)
from tests.registry.operator import LIMIT_S, served_registry
from tests.registry.postgresql import Server
from understudy.domain.errors import (
    CorruptedError,
    InvalidInputError,
    RefusedError,
    UnavailableError,
)
from understudy.runtime.exit_codes import OK, REFUSED, USAGE

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
WHY = ("--reason", REASON)
# Everything of PostgreSQL's catalogue that a registry's tables have, beside columns and triggers.
DETAILS = """
SELECT 'constraint', conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE connamespace = current_schema()::regnamespace
UNION ALL SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema()
UNION ALL SELECT 'sequence', sequencename, increment_by || ' ' || min_value || ' ' || max_value
FROM pg_sequences WHERE schemaname = current_schema()
UNION ALL SELECT 'column', table_name || '.' || column_name,
  coalesce(collation_name, '') || ' ' || coalesce(column_default, '')
FROM information_schema.columns WHERE table_schema = current_schema()
"""


def new_place(earlier: Earlier, request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Return an empty place of the same kind."""
    if isinstance(earlier.place, Path):
        return tmp_path / "new.sqlite"
    server: Server = request.getfixturevalue("postgresql")
    return server.new_database()


def upgraded(place: Place) -> UpgradedDatabase:
    return upgrade_database(place, ADA, REASON, NOW)


def definitions_of(place: Place) -> dict[tuple[str, str], str]:
    """Return all that a database is made of: tables, triggers, indices, constraints."""
    with existing(place) as engine, reading(engine) as connection:
        found = dict(dialect_of(engine).objects_of(connection))
        if not isinstance(place, Path):
            rows = connection.exec_driver_sql(DETAILS)
            found |= {(kind, name): text for kind, name, text in rows}
        return found


def edit(place: Place, statement: str) -> None:
    with existing(place) as engine:
        options = {"begin": dialect_of(engine).begin_opening}
        with engine.connect().execution_options(**options) as connection, connection.begin():
            connection.exec_driver_sql(statement)


def number_of(place: Place) -> int:
    with existing(place) as engine, reading(engine) as connection:
        return found_schema(connection)


def test_steps_lead_from_the_earliest_schema_to_the_latest_one_by_one() -> None:
    steps = steps_from(schema.SCHEMAS.earliest)

    expected = range(schema.SCHEMAS.earliest + 1, schema.SCHEMA_VERSION + 1)
    assert [each.schema for each in steps] == [*expected]
    assert all(each.title for each in steps)


def test_steps_lead_to_the_schema_of_a_new_database(
    earlier: Earlier, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    new = new_place(earlier, request, tmp_path)
    open_database(new).dispose()

    upgraded(earlier.place)

    assert definitions_of(earlier.place) == definitions_of(new)
    with existing(earlier.place) as engine, reading(engine) as connection:
        assert differences_of(connection) == []


def differences_of(connection: Connection) -> list[object]:
    """Return the differences that Alembic finds between a database and the tables of this build."""
    wanted = MetaData()
    of_kind = [schema.metadata]
    of_kind += [shared_metadata] if connection.dialect.name == "postgresql" else []
    for each in of_kind:
        for table in each.tables.values():
            table.to_metadata(wanted)
    options = {"compare_type": True, "compare_server_default": True}
    return [*compare_metadata(MigrationContext.configure(connection, opts=options), wanted)]


def test_an_upgrade_keeps_every_row_and_records_itself(earlier: Earlier) -> None:
    with existing(earlier.place) as engine:
        before = rows_of(engine)
    assert {name for name, rows in before.items() if not rows} <= {"acting", "host_reports"}

    done = upgraded(earlier.place)

    with existing(earlier.place) as engine:
        after = rows_of(engine)
        with reading(engine) as connection:
            assert verify_database(connection).faults == ()
            [*recorded, last] = audit_log.read_all(connection)
    assert after.pop("deliveries") == []
    assert [row for row in after.pop("audit") if row[0] < last.row.sequence] == before.pop("audit")
    assert dict(after.pop("registry")) == dict(before.pop("registry")) | {"schema_version": 7}
    assert after == before
    assert last.row.previous_digest == recorded[-1].digest
    assert last.digest == done.audit_digest
    assert (last.row.action, last.row.actor, last.row.on_behalf_of, last.row.reason) == (
        *("upgrade", ADA.name, ADA.on_behalf_of),
        REASON,
    )
    assert last.row.details_json == '{"from_schema":6,"to_schema":7}'


def test_the_copy_is_the_database_as_it_was(tmp_path: Path) -> None:
    earlier = in_sqlite(tmp_path / "earlier")
    assert isinstance(earlier.place, Path)
    before = state_of(earlier.place)
    old = earlier.place.with_name("registry.sqlite.schema-6")
    old.write_text("of an upgrade that ended early")

    done = upgraded(earlier.place)

    assert done.copy == old
    assert state_of(old) == before
    assert {each.name for each in earlier.directory.iterdir()} >= {old.name, "registry.sqlite"}


def test_an_upgrade_without_room_for_the_copy_changes_nothing(tmp_path: Path) -> None:
    earlier = in_sqlite(tmp_path / "earlier")
    (earlier.directory / "registry.sqlite.schema-6").mkdir()

    with pytest.raises(UnavailableError, match="copy "):
        upgraded(earlier.place)

    assert number_of(earlier.place) == FOUND


def test_a_registry_refuses_an_earlier_schema_and_names_the_command(earlier: Earlier) -> None:
    before = state_of(earlier.place)

    refused = command("serve", *earlier.options, "--listen", "127.0.0.1:0")

    assert refused.exit_code != OK
    with pytest.raises(RefusedError, match="understudy registry database upgrade"):
        open_database(earlier.place)
    assert state_of(earlier.place) == before


def test_an_upgraded_registry_serves_and_is_intact(
    earlier: Earlier, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = json_of("database", "upgrade", *earlier.options, *WHY, "--dry-run")
    assert number_of(earlier.place) == FOUND
    done = json_of("database", "upgrade", *earlier.options, *WHY, "--actor", "ada@lab")

    store = {} if isinstance(earlier.place, Path) else {"store": earlier.place.conninfo}
    with served_registry(earlier.directory, **store) as address:
        monkeypatch.setenv("UNDERSTUDY_REGISTRY", address)
        monkeypatch.setenv("UNDERSTUDY_ACTOR", "ada@lab")
        verified = json_of("audit", "verify")
        listed = json_of("audit", "list")
        json_of("tag", "fraud@2", "second", *WHY)
        again = command("database", "upgrade", *earlier.options, *WHY)

    assert not planned["applied"]
    assert done["applied"]
    assert planned["steps"] == done["steps"]
    assert [each["schema"] for each in done["steps"]] == [7]
    assert verified["faults"] == []
    assert (verified["versions"], verified["files"]) == (3, 2)
    assert listed["entries"][-1]["action"] == "ACTION_UPGRADE"
    assert listed["entries"][-1]["digest"] == done["audit_digest"]
    assert again.exit_code == OK
    assert "nothing to do" in again.stdout


def test_a_database_below_a_serving_registry_is_not_upgraded(earlier: Earlier) -> None:
    upgraded(earlier.place)
    store = {} if isinstance(earlier.place, Path) else {"store": earlier.place.conninfo}
    with served_registry(earlier.directory, **store):
        edit(earlier.place, "DROP TABLE deliveries")
        edit(earlier.place, "UPDATE registry SET value = 6 WHERE name = 'schema_version'")

        refused = command("database", "upgrade", *earlier.options, *WHY)

        assert refused.exit_code == REFUSED
        assert number_of(earlier.place) == FOUND
    known = "another registry serves" if not store else "connections to the database"
    assert known in refused.stderr


def test_two_upgrades_at_once_are_one(postgresql: Server, tmp_path: Path) -> None:
    place = in_postgresql(postgresql, tmp_path / "earlier").place

    with ThreadPoolExecutor(2) as threads:
        done = [each.result(LIMIT_S) for each in [threads.submit(upgraded, place) for _ in "ab"]]

    assert sorted(len(each.plan.steps) for each in done) == [0, 1]
    with existing(place) as engine, reading(engine) as connection:
        assert verify_database(connection).faults == ()
        rows = audit_log.read_all(connection)
    assert [each.row.action for each in rows].count("upgrade") == 1


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("DROP TABLE tags", "table tags"),
        ("CREATE TABLE blocks (x INTEGER)", "table blocks"),
        ("UPDATE tags SET number = 2", "tag baseline of fraud"),
    ],
)
def test_a_database_that_is_not_intact_stays_as_it_is(
    earlier: Earlier, statement: str, named: str
) -> None:
    edit(earlier.place, statement)
    before = state_of(earlier.place)

    with pytest.raises(CorruptedError, match=named):
        upgraded(earlier.place)

    assert state_of(earlier.place) == before


@pytest.mark.parametrize(("number", "named"), [(5, "upgrades from schema 6 on"), (8, "a newer")])
def test_a_schema_without_steps_is_refused(earlier: Earlier, number: int, named: str) -> None:
    edit(earlier.place, f"UPDATE registry SET value = {number} WHERE name = 'schema_version'")  # noqa: S608 - a number
    before = state_of(earlier.place)

    for act in (upgraded, plan_upgrade, open_database):
        with pytest.raises(RefusedError, match=named):
            act(earlier.place)

    assert state_of(earlier.place) == before


def test_a_database_of_others_is_no_registrys(postgresql: Server, tmp_path: Path) -> None:
    file = tmp_path / "other.sqlite"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE other (x INTEGER)")

    for place in (file, postgresql.new_database()):
        with pytest.raises(InvalidInputError, match="that a registry has written"):
            upgraded(place)


def test_an_upgrade_creates_nothing_where_nothing_is(tmp_path: Path) -> None:
    refused = command("database", "upgrade", "--dir", str(tmp_path / "none"), *WHY)

    assert refused.exit_code == USAGE
    assert list(tmp_path.iterdir()) == []
