"""The contract of the store, on each kind of database."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, delete, update
from sqlalchemy.exc import IntegrityError

from registry.decisions.actors import Actor
from registry.decisions.audit_chain import first_break
from registry.store import audit_log, lineage, revisions, schema
from registry.store.acting import read, read_all, save
from registry.store.database import open_database, owning_files, reading, writing
from registry.store.dialects import dialect_of
from registry.store.postgresql import PostgresqlPlace
from registry.store.revisions import StoredRevision
from registry.store.shared import is_shared
from registry.verify_registry import verify_database
from tests.registry.postgresql import Server
from understudy.domain.acting import ActingChampion
from understudy.domain.deployments import Deployment
from understudy.domain.errors import RefusedError, UnavailableError

Place = Path | PostgresqlPlace
LIMIT_S = 60.0
GREATEST = (1 << 63) - 1


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "sqlite":
        return tmp_path / "registry.sqlite"
    made: PostgresqlPlace = request.getfixturevalue("postgresql").new_database()
    return made


@pytest.fixture
def engine(place: Place) -> Iterator[Engine]:
    opened = open_database(place)
    yield opened
    opened.dispose()


def deployed(model: str, number: int, at_ns: int = 1) -> StoredRevision:
    deployment = Deployment(model=model, revision=number, champion=1, salt="s")
    return StoredRevision(deployment, "ada", "deploy", "Grund: ä — 試験", at_ns)


def drilled(at_ns: int = 1) -> audit_log.Event:
    return audit_log.Event(at_ns, Actor("ada"), "drill", "", "a test", "{}")


def test_a_row_is_read_as_it_was_written(engine: Engine) -> None:
    stored = deployed("fraud", GREATEST, GREATEST)
    with writing(engine) as connection:
        revisions.add_revision(connection, stored)

    with reading(engine) as connection:
        assert revisions.history_of(connection, "fraud") == [stored]
        assert revisions.revision_of(connection, "fraud", GREATEST) == stored.content
        assert revisions.champions_of(connection, "fraud") == (1,)
    with writing(engine) as connection:
        revisions.add_revision(connection, deployed("fraud", 3))


def test_names_are_ordered_by_code_points(engine: Engine) -> None:
    names = ["a_b", "a-b", "ab", "b", "a1", "a"]
    with writing(engine) as connection:
        for name in names:
            revisions.add_revision(connection, deployed(name, 1))

    with reading(engine) as connection:
        assert revisions.models_with_revisions(connection) == sorted(names)


def test_a_failed_transaction_leaves_nothing(engine: Engine) -> None:
    def fail() -> None:
        with writing(engine) as connection:
            revisions.add_revision(connection, deployed("fraud", 1))
            audit_log.append(connection, drilled())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    with reading(engine) as connection:
        assert revisions.history_of(connection, "fraud") == []
        assert audit_log.last(connection)[0] == 0


def test_a_number_names_one_revision(engine: Engine) -> None:
    with writing(engine) as connection:
        revisions.add_revision(connection, deployed("fraud", 1))

    with pytest.raises(IntegrityError), writing(engine) as connection:
        revisions.add_revision(connection, deployed("fraud", 1))


def test_no_statement_changes_a_row_that_is_written_once(engine: Engine) -> None:
    for table in schema.WRITTEN_ONCE:
        row = {each.name: each.type.python_type(9) for each in table.c}
        with writing(engine) as connection:
            connection.execute(table.insert().values(**row))

        for statement in (delete(table), update(table).values(**row)):
            with pytest.raises(IntegrityError, match="written once"), writing(engine) as connection:
                connection.execute(statement)
        if is_shared(engine):
            with pytest.raises(IntegrityError, match="written once"), writing(engine) as connection:
                connection.exec_driver_sql(f"TRUNCATE {table.name}")


def test_writers_wait_for_each_other_and_number_without_gaps(place: Place, engine: Engine) -> None:
    other = open_database(place) if is_shared(engine) else engine

    def append(opened: Engine) -> None:
        for _ in range(10):
            with writing(opened) as connection:
                audit_log.append(connection, drilled())

    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(append, each) for each in (engine, other) * 2]:
            done.result(LIMIT_S)

    with reading(engine) as connection:
        rows = audit_log.read_all(connection)
        assert [each.row.sequence for each in rows] == list(range(1, 41))
        assert first_break(rows, lineage.first(connection).digest) is None
    if other is not engine:
        other.dispose()


def test_a_reader_has_one_view_and_waits_for_no_writer(engine: Engine) -> None:
    with reading(engine) as before:
        assert audit_log.last(before)[0] == 0
        with writing(engine) as connection:
            audit_log.append(connection, drilled())
            assert audit_log.last(before)[0] == 0
        assert audit_log.last(before)[0] == 0
    with reading(engine) as after:
        assert audit_log.last(after)[0] == 1


def test_a_writer_sees_all_that_was_committed_before_its_turn(engine: Engine) -> None:
    seen: list[int] = []
    begun = threading.Event()

    def second() -> None:
        begun.set()
        with writing(engine) as connection:
            seen.append(audit_log.last(connection)[0])

    with ThreadPoolExecutor(1) as threads:
        with writing(engine) as connection:
            waits = threads.submit(second)
            assert begun.wait(LIMIT_S)
            audit_log.append(connection, drilled())
        waits.result(LIMIT_S)

    assert seen == [1]


def test_a_record_that_may_change_is_replaced(engine: Engine) -> None:
    record = ActingChampion("fraud", 2, 7, since_ns=GREATEST)
    for each in (replace(record, version=1), record):
        with writing(engine) as connection:
            save(connection, [each])

    with reading(engine) as connection:
        assert read(connection, "fraud") == record
        assert read_all(connection) == {"fraud": record}
        assert read(connection, "other") is None


def test_files_are_owned_beside_a_writer(engine: Engine) -> None:
    with owning_files(engine), writing(engine) as connection:
        audit_log.append(connection, drilled())

    with reading(engine) as connection:
        assert audit_log.last(connection)[0] == 1


def test_a_restarted_server_fails_no_transaction(postgresql: Server) -> None:
    place = postgresql.new_database()
    engine = open_database(place)
    with reading(engine), reading(engine):  # two connections stay open after it
        pass

    postgresql.end_connections_to(place)

    for _ in range(2):
        with writing(engine) as connection:
            audit_log.append(connection, drilled())
    with reading(engine) as connection:
        assert audit_log.last(connection)[0] == 2
    engine.dispose()


@pytest.mark.parametrize(("number", "writer"), [(6, "an earlier build"), (99, "a newer registry")])
def test_a_database_of_another_schema_is_refused_and_left_alone(
    place: Place, engine: Engine, number: int, writer: str
) -> None:
    with writing(engine) as connection:
        audit_log.append(connection, drilled())
        connection.execute(update(schema.settings).values(value=number))
        schema.deliveries.drop(connection)  # a table that the other schema lacks
    with reading(engine) as connection:
        before = dialect_of(engine).objects_of(connection)

    with pytest.raises(RefusedError, match=f"schema {number}, of {writer}"):
        open_database(place)

    with reading(engine) as connection:
        assert dialect_of(engine).objects_of(connection) == before
        assert audit_log.last(connection)[0] == 1


def test_a_registry_that_missed_an_upgrade_writes_nothing(postgresql: Server) -> None:
    place = postgresql.new_database()
    engine = open_database(place)
    with writing(engine) as connection:
        newer = update(schema.settings).where(schema.settings.c.name == "schema_version")
        connection.execute(newer.values(value=schema.SCHEMA_VERSION + 1))

    with pytest.raises(UnavailableError, match="was upgraded"), writing(engine) as connection:
        audit_log.append(connection, drilled())

    with reading(engine) as connection:
        assert audit_log.last(connection)[0] == 0
    engine.dispose()


def test_another_opening_of_the_same_database_continues_it(place: Place, engine: Engine) -> None:
    with writing(engine) as connection:
        first = lineage.open_epoch(connection)
    again = open_database(place)
    with writing(again) as connection:
        second = lineage.open_epoch(connection)
    again.dispose()

    assert not first.continues_file
    assert second.continues_file
    assert second.first_sequence > first.first_sequence


def _drop_trigger(engine: Engine) -> str:
    on = " ON audit" if is_shared(engine) else ""
    name = "audit_written_once" if is_shared(engine) else "audit_no_update"
    return f"DROP TRIGGER {name}{on}"


ALTERATIONS: tuple[tuple[str, Callable[[Engine], str]], ...] = (
    ("trigger audit_", _drop_trigger),
    ("table extra", lambda _: "CREATE TABLE extra (x INTEGER)"),
    ("table tags", lambda _: "ALTER TABLE tags ADD COLUMN extra INTEGER"),
)


@pytest.mark.parametrize(
    ("named", "alteration"), ALTERATIONS, ids=[each for each, _ in ALTERATIONS]
)
def test_an_altered_schema_is_a_fault(
    engine: Engine, named: str, alteration: Callable[[Engine], str]
) -> None:
    with reading(engine) as connection:
        assert verify_database(connection).faults == ()
    with writing(engine) as connection:
        connection.exec_driver_sql(alteration(engine))

    with reading(engine) as connection:
        faults = verify_database(connection).faults

    assert any(named in fault for fault in faults), faults
