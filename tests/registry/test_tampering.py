"""An edit of the registry behind its back is found and named, in every column and every file."""

import asyncio
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError

from registry.approve_version import PolicyRequest, Voter, VoteRequest
from registry.decisions.actors import Actor, Proof
from registry.decisions.approvals import VoteKind
from registry.decisions.refusals import Attempt, Attempts
from registry.store import refusals
from registry.store.artifact_objects import FolderObjects
from registry.store.artifacts import ArtifactStore
from registry.store.database import open_database, reading, writing
from registry.store.schema import VOLATILE_TABLES
from registry.store.versions import StoredVersion, list_versions
from registry.verify_registry import verify_artifacts, verify_database
from tests.registry.operator import Operator, running_registry
from understudy.domain.changes import Change, DeployChampion, SetCanary, Undeploy
from understudy.domain.deployments import DegradationLevel
from understudy.domain.versions import VersionRef

# Texts that must stand in a fault, by table: a fault names the row or its object.
NAMES = {
    "registry": "table registry",
    "versions": "fraud@1",
    "feature_views": "table feature_views",
    "revisions": "fraud",
    "audit": "row 1",
    "lineage": "row 1",
    "marks": "fraud@2",
    "tags": "good",
    "named_versions": "table named_versions",
    "votes": "fraud@2",
    "refusals": "refusals",
    "approval_policies": "fraud",
}


@pytest.fixture(scope="module")
def whole(two_versions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of a stopped registry that has a row in every table."""
    directory = tmp_path_factory.mktemp("whole") / "registry"
    shutil.copytree(two_versions, directory)

    async def fill() -> None:
        async with running_registry(directory) as channel:
            operator = Operator(channel)
            changes: tuple[Change, ...] = (DeployChampion(1), SetCanary(2, 500), Undeploy())
            for change in changes:
                await operator.change(change)
            await operator.drill(DegradationLevel.FALLBACK, 30.0)
            await operator.set_block(1)
            await operator.set_block(1, blocked=False)
            await operator.set_block(2)
            await operator.retire(1)
            await operator.set_tag("good", 1)
            await operator.collect(dry_run=False, least_age_days=0)
            response = await operator.restore("00000000-0000-0000-0000-000000000001")
            assert response.applied

    asyncio.run(fill())
    _vote(directory)
    return directory


def _vote(directory: Path) -> None:
    """Give the registry a vote and a policy, which need names that are proven."""
    engine = open_database(directory / "registry.sqlite")
    voter = Voter(engine, lambda: datetime.now(UTC), longest_s=60.0)
    bob = Actor("bob", Proof.TOKEN)
    voter.vote(VoteRequest(VersionRef("fraud", 2), VoteKind.APPROVE, None, None, bob, "r", False))
    voter.set_policy(PolicyRequest("fraud", 1, bob, "r", dry_run=False))
    attempt = Attempt("mallory", "ipv4:10.0.0.9", "SetBlock", "permission_refused")
    with writing(engine) as connection:
        refusals.append(connection, Attempts().with_one(attempt, 60_000_000_001))
    engine.dispose()


@pytest.fixture
def opened(whole: Path, tmp_path: Path) -> Iterator[Engine]:
    """Yield the database of a copy of `whole`."""
    copy = shutil.copytree(whole, tmp_path / "copy")
    engine = open_database(copy / "registry.sqlite")
    yield engine
    engine.dispose()


def faults_after(engine: Engine, statement: str, table: str) -> tuple[str, ...]:
    """Return the faults after a statement that ran without the table's triggers; it is rolled back."""
    with engine.connect() as connection:
        listed = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ?"
        triggers = connection.exec_driver_sql(listed, (table,)).all()
        for name, _ in triggers:
            connection.exec_driver_sql(f"DROP TRIGGER {name}")
        try:
            assert connection.exec_driver_sql(statement).rowcount, statement
        except IntegrityError as error:  # SQLite itself refuses some values of its primary keys
            return (f"{NAMES[table]} {error}",)
        for _, sql in triggers:  # so that no fault is about them
            connection.exec_driver_sql(sql)
        faults = verify_database(connection).faults
        connection.rollback()
        return faults


def columns_of(engine: Engine) -> list[tuple[str, str]]:
    """Return every column of every table, as the file itself lists them."""
    with engine.connect() as connection:
        tables = connection.exec_driver_sql(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        ).scalars()
        return [
            (table, column.name)
            for table in tables.all()
            for column in connection.exec_driver_sql(f"PRAGMA table_info({table})")
        ]


def value_of(engine: Engine, table: str, column: str) -> Any:
    with engine.connect() as connection:
        query = f"SELECT {column} FROM {table} ORDER BY rowid LIMIT 1"  # noqa: S608 - our tables
        return connection.exec_driver_sql(query).scalar_one()


def updating(table: str, column: str, edit: str) -> str:
    first = f"rowid = (SELECT min(rowid) FROM {table})"  # noqa: S608 - our tables
    return f"UPDATE {table} SET {column} = {edit} WHERE {first}"  # noqa: S608 - our tables


def deleting_last(table: str) -> str:
    last = f"rowid = (SELECT max(rowid) FROM {table})"  # noqa: S608 - our tables
    return f"DELETE FROM {table} WHERE {last}"  # noqa: S608 - our tables


def edits_of(value: Any) -> Iterator[str]:
    """Yield expressions of SQL for other values, near ones and odd ones."""
    if isinstance(value, int | float):
        yield from (f"{value!r} + 1000", "'x'")
        return
    text = str(value).replace("'", "''")
    yield from (f"'{text} '", "x'ff'", "CAST(x'ff' AS TEXT)")
    if "1" in text:
        yield f"'{text.replace('1', '2', 1)}'"


def test_an_untouched_registry_has_no_faults(opened: Engine) -> None:
    with opened.connect() as connection:
        assert verify_database(connection).faults == ()


@pytest.mark.fault
def test_an_edit_of_any_column_is_found_and_named(opened: Engine) -> None:
    covered = [
        (table, column) for table, column in columns_of(opened) if table not in VOLATILE_TABLES
    ]
    assert {table for table, _ in covered} == NAMES.keys(), "a table without cover"
    missed = []
    for table, column in covered:
        for edit in edits_of(value_of(opened, table, column)):
            faults = faults_after(opened, updating(table, column, edit), table)
            if not any(NAMES[table] in fault for fault in faults):
                missed.append((table, column, edit, faults))

    assert missed == []


@pytest.mark.fault
@pytest.mark.parametrize("table", sorted(NAMES))
def test_a_row_that_was_removed_is_found(opened: Engine, table: str) -> None:
    assert faults_after(opened, deleting_last(table), table)


@pytest.mark.fault
@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("DROP TRIGGER versions_no_update", "trigger versions_no_update"),
        ("CREATE TABLE more (name TEXT)", "table more"),
        ("ALTER TABLE versions ADD COLUMN note TEXT", "table versions"),
    ],
)
def test_a_changed_schema_is_found(opened: Engine, statement: str, named: str) -> None:
    with opened.connect() as connection:
        connection.exec_driver_sql(statement)
        faults = verify_database(connection).faults

    assert any(named in fault for fault in faults)


@pytest.fixture
def stored(opened: Engine) -> list[StoredVersion]:
    with reading(opened) as connection:
        return list_versions(connection)


@pytest.fixture
def artifacts(opened: Engine, tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "copy" / "artifacts")


def artifact_path(tmp_path: Path, digest: str) -> Path:
    return FolderObjects(tmp_path / "copy" / "artifacts" / "sha256").path_of(digest)


@pytest.mark.fault
def test_an_edit_of_any_artifact_byte_is_found_and_named(
    artifacts: ArtifactStore, stored: list[StoredVersion], tmp_path: Path
) -> None:
    assert verify_artifacts(artifacts, stored).faults == ()
    files = {file.sha256: file for version in stored for file in version.spec.files}

    @settings(max_examples=30)
    @given(st.sampled_from(sorted(files)), st.data())
    def changed(sha256: str, data: st.DataObject) -> None:
        path = artifact_path(tmp_path, sha256)
        intact = path.read_bytes()
        damaged = bytearray(intact)
        damaged[data.draw(st.integers(0, len(intact) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        path.chmod(0o600)
        path.write_bytes(damaged)
        found = verify_artifacts(artifacts, stored).faults
        path.write_bytes(intact)

        assert len(found) == 1
        assert files[sha256].path in found[0]

    changed()


@pytest.mark.fault
@pytest.mark.parametrize("size", [None, 0, 7])
def test_a_missing_or_shortened_file_is_named(
    artifacts: ArtifactStore, stored: list[StoredVersion], tmp_path: Path, size: int | None
) -> None:
    path = artifact_path(tmp_path, stored[0].spec.files[0].sha256)
    path.chmod(0o600)
    if size is None:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:size])

    found = verify_artifacts(artifacts, stored).faults

    assert len(found) == 1
    assert "fraud@1" in found[0]
