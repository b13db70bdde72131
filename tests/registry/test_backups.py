"""Backups of a registry that serves, and their restore: the same rows and files, under a new lineage."""

import asyncio
import shutil
import sqlite3
import stat
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryFile

import pytest
from sqlalchemy import Engine

from registry.decisions.actors import Actor
from registry.decisions.recorded_objects import Kind
from registry.decisions.succession import RestoreRequest
from registry.export import exported_lines
from registry.make_backup import BackupMaker
from registry.restore_backup import BackupRestore, BackupRestorer, RestoredBackup
from registry.store import audit_log
from registry.store.artifacts import ArtifactStore
from registry.store.database import open_database, reading, writing
from registry.store.marked_versions import record_mark
from registry.store.marks import Mark
from registry.store.postgresql import PostgresqlPlace
from registry.verify_backup import verify_backup
from registry.verify_registry import verify_database
from tests.registry.commands import REASON, command, json_of
from tests.registry.operator import (
    Operator,
    failure_of,
    files_below,
    report_of,
    rows_of,
    running_registry,
    running_server,
    served_registry,
)
from tests.registry.samples import new_version, trained
from understudy.control.wire import snapshot_from_wire
from understudy.domain.belief import judge
from understudy.domain.changes import DeployChampion, SetCanary, SetThreshold
from understudy.domain.errors import (
    ConflictError,
    CorruptedError,
    RefusedError,
    UnderstudyError,
)
from understudy.domain.snapshots import Snapshot
from understudy.domain.versions import VersionRef
from understudy.registry.v1 import registry_pb2 as pb
from understudy.runtime.exit_codes import FAILED, OK, REFUSED, USAGE

Place = Path | PostgresqlPlace
KINDS = ("sqlite", "postgresql")
OTHER_SEED = 8
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
ASKED = BackupRestore(RestoreRequest("", 0, ()), Actor("ada@lab"), "the disk was lost")


@pytest.fixture(scope="module")
def used(two_versions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of a stopped registry with rows in its tables, and a collected artifact."""
    directory = tmp_path_factory.mktemp("used") / "registry"
    shutil.copytree(two_versions, directory)

    async def use() -> None:
        other = trained(OTHER_SEED)
        async with running_server(directory) as (opened, channel):
            operator = Operator(channel)
            await operator.register(new_version(other.record, artifact_dir=other.artifact_dir))
            await operator.change(DeployChampion(1))
            await operator.change(SetCanary(2, 1_000), reason="Grund: ä — 試験")
            await operator.set_tag("baseline", 1)
            await operator.set_block(2)
            await operator.retire(3)
            await operator.collect()
            await failure_of(operator.change(DeployChampion(3)))
            await operator.stub.ReportScorers(await report_of(operator, "h-1"))
            await opened.refusals.write()

    asyncio.run(use())
    return directory


@pytest.fixture
def lost(used: Path, tmp_path: Path) -> Path:
    """Return a copy of `used`, to be changed and lost."""
    return Path(shutil.copytree(used, tmp_path / "lost"))


def backup_of(place: Place, directory: Path, file: Path) -> Path:
    """Write a backup of a stopped registry."""
    engine, artifacts = open_database(place), ArtifactStore(directory / "artifacts")
    try:
        maker = BackupMaker(engine, artifacts, lambda: NOW)
        with TemporaryFile() as tables, file.open("wb") as new:
            new.writelines(maker.pieces(maker.prepare(tables), tables))
    finally:
        artifacts.close()
        engine.dispose()
    return file


def restored(
    file: Path, place: Place, directory: Path, asked: BackupRestore = ASKED
) -> RestoredBackup:
    artifacts = ArtifactStore(directory / "artifacts")
    try:
        with file.open("rb") as opened:
            return BackupRestorer(place, artifacts).restore(opened, asked, NOW)
    finally:
        artifacts.close()


def new_place(kind: str, request: pytest.FixtureRequest, directory: Path) -> Place:
    if kind == "sqlite":
        return directory / "registry.sqlite"
    made: PostgresqlPlace = request.getfixturevalue("postgresql").new_database()
    return made


def export_of(place: Place) -> list[str]:
    """Return all rows but the numbers of revisions that name a version, to which a restore adds its own."""
    engine = open_database(place)
    try:
        with reading(engine) as connection:
            assert verify_database(connection).faults == ()
            lines = list(exported_lines(connection))
    finally:
        engine.dispose()
    return [each for each in lines if '"table": "named_versions"' not in each]


def stored_in(directory: Path) -> dict[str, int]:
    artifacts = ArtifactStore(directory / "artifacts")
    try:
        return artifacts.stored()
    finally:
        artifacts.close()


@pytest.mark.parametrize(("first", "second"), [KINDS, KINDS[::-1]], ids=["sqlite", "postgresql"])
def test_a_backup_of_each_store_is_restored_into_each(
    used: Path, tmp_path: Path, request: pytest.FixtureRequest, first: str, second: str
) -> None:
    source: Place = used / "registry.sqlite"
    directory = used
    assert all(rows_of(used, table) for table in ("host_reports", "refusals", "tags", "marks"))
    for number, kind in enumerate((first, second), start=1):
        file = backup_of(source, directory, tmp_path / f"{number}.tar")
        new_directory = tmp_path / f"{number}"
        new_directory.mkdir()
        place = new_place(kind, request, new_directory)
        done = restored(file, place, new_directory)

        before, after = export_of(source), export_of(place)
        assert [line for line in after if line in {*before}] == before
        assert len(after) == len(before) + 4  # a lineage, a revision, and their rows of the log
        assert done.restored.plan.revision == 2_000 * number
        assert stored_in(new_directory) == stored_in(directory)
        source, directory = place, new_directory


def test_a_backup_has_one_state_of_a_registry_that_changes(lost: Path, tmp_path: Path) -> None:
    engine, artifacts = open_database(lost / "registry.sqlite"), ArtifactStore(lost / "artifacts")
    maker = BackupMaker(engine, artifacts, lambda: NOW)

    def append(reason: str) -> None:
        with writing(engine) as connection:
            event = audit_log.Event(1, Actor("ada"), "drill", "", reason, "{}")
            audit_log.append(connection, event)

    append("a text\u2028that some break into lines\x85")
    with TemporaryFile() as tables, (tmp_path / "b.tar").open("w+b") as file:
        before = maker.prepare(tables)
        append("later")
        file.writelines(maker.pieces(before, tables))
        file.seek(0)

        assert verify_backup(file).manifest == before
        with TemporaryFile() as again:
            assert maker.prepare(again).sequence == before.sequence + 1
    artifacts.close()
    engine.dispose()


async def test_a_destroyed_registry_is_restored_and_its_watchers_follow_it(
    lost: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, new = tmp_path / "b.tar", tmp_path / "new"
    with served_registry(lost) as target:
        monkeypatch.setenv("UNDERSTUDY_REGISTRY", target)
        told = await asyncio.to_thread(json_of, "backup", str(file))
        again = await asyncio.to_thread(command, "backup", str(file))
    async with running_registry(lost) as channel:  # a change that the backup lacks
        await Operator(channel).change(SetThreshold(0.3))
        in_effect = await state_of(Operator(channel))
    shutil.rmtree(lost)

    planned = command("restore", str(file), "--dir", str(new), *REASON, "--dry-run")
    assert not new.exists()
    made = json_of("restore", str(file), "--dir", str(new), *REASON, "--actor", "ada@lab")

    async with running_registry(new) as channel:
        operator = Operator(channel)
        accepted = judge(in_effect, await state_of(operator))
        assert isinstance(accepted, Snapshot)
        assert accepted.lineage == made["lineage"]
        assert [each.revision for each in accepted.deployments] == [made["revision"]] == [2_000]
        assert list((await operator.stub.GetStatus(pb.GetStatusRequest())).scorers) == []
        assert (await operator.change(SetThreshold(0.4))).revision == 2_001
        verified = await operator.stub.VerifyRegistry(pb.VerifyRegistryRequest())
        rows = (await operator.audit()).entries
    assert list(verified.faults) == []
    assert [(row.action, row.actor) for row in rows[-3:-1]] == [(pb.ACTION_RESTORE, "ada@lab")] * 2
    assert (planned.exit_code, again.exit_code) == (OK, USAGE)
    assert f"would restore registry {told['lineage']}" in planned.stdout
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.stat().st_size == told["size_bytes"]


async def state_of(operator: Operator) -> Snapshot:
    return snapshot_from_wire(await operator.seen(lambda _: True))


def test_a_backup_is_restored_into_an_empty_place_only(used: Path, tmp_path: Path) -> None:
    file = backup_of(used / "registry.sqlite", used, tmp_path / "b.tar")
    full = Path(shutil.copytree(used, tmp_path / "full"))
    files = Path(shutil.copytree(used / "artifacts", tmp_path / "files" / "artifacts")).parent
    other = files / "artifacts" / "sha256" / "ab" / ("ab" * 32)
    other.parent.mkdir(exist_ok=True)
    other.write_bytes(b"of another registry")
    before = {path: path.read_bytes() for path in files_below(full)}

    refused = command("restore", str(file), "--dir", str(full), *REASON)
    with pytest.raises(RefusedError, match="1 files that are not of the backup"):
        restored(file, files / "registry.sqlite", files)

    assert refused.exit_code == REFUSED
    assert "accepted: an empty one" in refused.stderr
    assert {path: path.read_bytes() for path in files_below(full)} == before
    assert not (files / "registry.sqlite").exists()


def test_a_restore_that_ended_early_can_be_repeated(used: Path, tmp_path: Path) -> None:
    file = backup_of(used / "registry.sqlite", used, tmp_path / "b.tar")
    new, place = tmp_path / "new", tmp_path / "new" / "registry.sqlite"
    new.mkdir()
    fails = BackupRestore(RestoreRequest("", 0, ("fraud",)), Actor("ada@lab"), "a test")
    with pytest.raises(RefusedError, match="undeploy it"):  # in the transaction, behind the files
        restored(file, place, new, fails)
    assert stored_in(new) == stored_in(used)

    assert restored(file, place, new).backup.versions == 3


@pytest.mark.parametrize(
    ("is_collected", "kind", "why"),
    [
        (False, CorruptedError, r"fraud@1: .* is missing from the artifact store"),
        (True, ConflictError, "was collected meanwhile"),
    ],
    ids=["missing", "collected"],
)
def test_a_file_that_is_gone_ends_a_backup(
    lost: Path, *, is_collected: bool, kind: type[UnderstudyError], why: str
) -> None:
    engine, artifacts = open_database(lost / "registry.sqlite"), ArtifactStore(lost / "artifacts")
    maker = BackupMaker(engine, artifacts, lambda: NOW)
    with TemporaryFile() as tables:
        manifest = maker.prepare(tables)
        if is_collected:
            collect_all(engine, artifacts)
        else:
            artifacts.remove([manifest.artifacts[0].sha256])

        with pytest.raises(kind, match=why):
            list(maker.pieces(manifest, tables))
    artifacts.close()
    engine.dispose()


def collect_all(engine: Engine, artifacts: ArtifactStore) -> None:
    """Collect the artifacts of all versions, as if no revision named them."""
    at = Actor("ada@lab")
    with writing(engine) as connection:
        for number in (1, 2):
            mark = Mark(Kind.COLLECTION, VersionRef("fraud", number), at.name, "a test", 1)
            record_mark(connection, mark, at, begins=True)
    artifacts.remove(artifacts.stored())


def test_a_failed_backup_leaves_no_file(
    lost: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in (lost / "artifacts" / "sha256").glob("*/*"):
        path.chmod(0o600)
        path.write_bytes(b"?")
    (folder := tmp_path / "backups").mkdir()
    with served_registry(lost) as target:
        monkeypatch.setenv("UNDERSTUDY_REGISTRY", target)
        failed = command("backup", str(folder / "b.tar"))

    assert failed.exit_code == FAILED
    assert "reads as" in failed.stderr
    assert list(folder.iterdir()) == []


def test_a_registry_that_is_not_intact_is_not_backed_up(lost: Path, tmp_path: Path) -> None:
    with sqlite3.connect(lost / "registry.sqlite") as database:
        database.execute("DROP TRIGGER audit_no_update")
        database.execute("UPDATE audit SET reason = 'another' WHERE sequence = 2")
    database.close()
    file = backup_of(lost / "registry.sqlite", lost, tmp_path / "b.tar")

    with file.open("rb") as opened, pytest.raises(CorruptedError, match="breaks at row 2"):
        verify_backup(opened)
    with pytest.raises(CorruptedError, match=r"tables\.jsonl of the backup: .*breaks at row 2"):
        restored(file, tmp_path / "new.sqlite", tmp_path)
    assert not (tmp_path / "new.sqlite").exists()


def test_options_of_the_other_restore_are_refused(tmp_path: Path) -> None:
    words = ("restore", *REASON, "--successor-of", "lost")

    of_a_file = command(*words, "--dir", str(tmp_path), "--store", "sqlite:x")
    of_a_registry = command(
        *words, str(tmp_path / "b.tar"), "--registry", "127.0.0.1:1", "--no-wait"
    )
    of_none = command("restore", *REASON)

    assert {each.exit_code for each in (of_a_file, of_a_registry, of_none)} == {USAGE}
    assert "--dir: read an option without effect" in of_a_file.stderr
    assert "--store: read an option without effect" in of_a_file.stderr
    assert "--registry: read an option without effect" in of_a_registry.stderr
    assert "--wait: read an option without effect" in of_a_registry.stderr
    assert "FILE: read nothing; accepted: a backup, or --successor-of" in of_none.stderr
