"""Registration is all or nothing, even with a concurrent registration."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from shutil import copytree

from registry.decisions.actors import Actor
from registry.register_version import Registrar, Registration
from registry.store import schema
from registry.store.artifacts import ArtifactStore, Staging
from registry.store.database import open_database, reading, writing
from registry.store.versions import all_refs
from tests.registry.samples import ACTOR, SCORE, VIEW, new_version, trained
from understudy.artifact.digests import digest_and_size
from understudy.domain.versions import ArtifactFile
from understudy.provenance.inspect_artifact import inspect_directory


class MeddledStore(ArtifactStore):
    """A store in which a concurrent registration redefines the view while files are moved."""

    def __init__(self, root: Path, database: Path) -> None:
        super().__init__(root)
        self._database = database

    def keep(self, staging: Staging, files: Iterable[ArtifactFile]) -> None:
        super().keep(staging, files)
        engine = open_database(self._database)
        with writing(engine) as connection:
            connection.execute(
                schema.feature_views.insert().values(
                    name=VIEW.name, version=VIEW.version, digest="ab" * 32, canonical_json="{}"
                )
            )
        engine.dispose()


def test_a_concurrent_redefinition_of_a_view_refuses_the_version(tmp_path: Path) -> None:
    database = tmp_path / "registry.sqlite"
    engine = open_database(database)
    store = MeddledStore(tmp_path / "artifacts", database)
    registrar = Registrar(engine, store, lambda: datetime.now(UTC))
    sample = new_version()
    with store.stage() as staging:
        copytree(trained().artifact_dir, staging.directory, dirs_exist_ok=True)
        files = tuple(
            ArtifactFile(path.name, *digest_and_size(path))
            for path in sorted(staging.directory.iterdir())
        )
        asked = Registration(
            "fraud", files, sample.provenance_json, (VIEW,), SCORE, "a test", Actor(ACTOR)
        )
        submission = registrar.prepare(asked, files, inspect_directory(staging.directory))
        assert registrar.check(asked, submission).complete

        report, registered = registrar.register(asked, submission, staging)

    assert [finding.field for finding in report.findings] == ["feature_views.patient@1"]
    assert registered is None
    with reading(engine) as connection:
        assert all_refs(connection) == frozenset()
    engine.dispose()
