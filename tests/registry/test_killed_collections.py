"""A collection killed at any point: nothing half done, and no byte lost that anything needs."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import Engine

from registry.change_deployment import ChangeRequest, DeploymentChanger
from registry.decisions.actors import Actor
from registry.register_version import Registrar, Registration
from registry.store.artifacts import ArtifactStore
from registry.store.database import open_database, reading
from registry.tag_version import Tagger, TagRequest
from registry.verify_registry import verify_artifacts, verify_database
from tests.registry.collection_maker import collect
from tests.registry.operator import LIMIT_S
from tests.registry.samples import ACTOR, SCORE, VIEW, record_with, trained
from understudy.domain.changes import DeployChampion
from understudy.domain.versions import GOLDEN_FILE, MODEL_FILE, ArtifactFile
from understudy.provenance.inspect_artifact import inspect_directory

pytestmark = [pytest.mark.long, pytest.mark.fault]
FIRST, LAST = 3, 32  # versions registered here; 1 and 2 share their files
CHAMPIONS = (4, 6, 8, 10)  # one revision each
TAGGED = 12
KEPT = {*CHAMPIONS, TAGGED}  # by revisions that are recent or can be returned to, and by a tag
RANDOM_KILLS = 6


@pytest.fixture
def crowded(seeded: Path) -> Path:
    """Return the directory of a registry with many versions, most of them needed by nothing."""
    engine = open_database(seeded / "registry.sqlite")
    _register(engine, ArtifactStore(seeded / "artifacts"))
    actor = Actor(ACTOR)
    changer = DeploymentChanger(engine, _now)
    for number in CHAMPIONS:
        changer.change(
            ChangeRequest("fraud", DeployChampion(number), "a test", actor, None, dry_run=False)
        )
    tag = TagRequest("fraud", "kept", TAGGED, moves=False, actor=actor, reason="r", dry_run=False)
    Tagger(engine, _now).set_tag(tag)
    engine.dispose()
    return seeded


def _now() -> datetime:
    return datetime.now(UTC)


def _register(engine: Engine, artifacts: ArtifactStore) -> None:
    """Register versions with golden vectors of their own; no process loads them."""
    registrar = Registrar(engine, artifacts, _now)
    inspection = inspect_directory(trained().artifact_dir)
    model = (trained().artifact_dir / MODEL_FILE).read_bytes()
    for number in range(FIRST, LAST + 1):
        contents = {GOLDEN_FILE: f"golden vectors of {number}".encode(), MODEL_FILE: model}
        files = tuple(
            ArtifactFile(path, sha256(content).hexdigest(), len(content))
            for path, content in contents.items()
        )
        claims = [{"path": f.path, "sha256": f.sha256, "size_bytes": f.size_bytes} for f in files]
        record = json.dumps(record_with("artifact.files", claims))
        asked = Registration("fraud", files, record, (VIEW,), SCORE, "a test", Actor(ACTOR))
        with artifacts.stage() as staging:
            for path, content in contents.items():
                (staging.directory / path).write_bytes(content)
            submission = registrar.prepare(asked, files, inspection)
            report, registered = registrar.register(asked, submission, staging)
        assert registered is not None, report.findings


def _copies(crowded: Path) -> Iterator[Path]:
    number = 0
    while True:
        number += 1
        yield Path(shutil.copytree(crowded, crowded.with_name(f"copy-{number}")))


def _collected(directory: Path) -> set[int]:
    """Return the collected versions of an intact registry; each other one has all its bytes."""
    engine = open_database(directory / "registry.sqlite")
    with reading(engine) as connection:
        tables = verify_database(connection)
    engine.dispose()
    assert not tables.faults
    artifacts = ArtifactStore(directory / "artifacts")
    assert not verify_artifacts(artifacts, tables.versions, tables.collected).faults
    return {ref.number for ref in tables.collected}


def test_a_collection_killed_at_any_point_is_whole_or_has_not_been(crowded: Path) -> None:
    chance = random.Random(16)
    copies = _copies(crowded)
    whole = next(copies)
    began_s = time.monotonic()
    plan = collect(whole).plan
    longest_s = 2 * (time.monotonic() - began_s)
    due = {each.number for each in plan.versions}
    assert due == {*range(1, LAST + 1)} - KEPT
    assert _collected(whole) == due
    left = ArtifactStore(whole / "artifacts").stored()

    at_removals = [0, 1, len(plan.files) // 2, len(plan.files) - 1]
    for removal in [*at_removals, *[None] * RANDOM_KILLS]:
        directory = next(copies)
        words = [sys.executable, "-m", "tests.registry.collection_maker", str(directory)]
        if removal is not None:
            words.append(str(removal))
        process = subprocess.Popen(words, stdout=subprocess.PIPE)
        with process:
            assert process.stdout is not None
            process.stdout.readline()
            if removal is None:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(chance.uniform(0, longest_s))
                process.kill()
            assert process.wait(LIMIT_S) in {0, -signal.SIGKILL}

        collected = _collected(directory)
        stored = ArtifactStore(directory / "artifacts").stored()
        if removal is not None:
            assert (collected, len(stored)) == (due, len(left) + len(plan.files) - removal)
        assert collected in (set(), due)
        collect(directory)
        assert _collected(directory) == due
        assert ArtifactStore(directory / "artifacts").stored() == left
