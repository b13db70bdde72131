"""The CPU time of a change of a deployment: after a short and a long history, alone and among models.

A change is decided, written and read again for publishing, as the registry does it; watchers, whose
messages have the whole state, are not part of it.
"""

import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine

from benchmarks.rows import Effort, Row, Scenario
from registry.change_deployment import ChangeRequest, DeploymentChanger
from registry.decisions.actors import Actor
from registry.server.stored_state import StoredState, reread
from registry.store.database import open_database, reading, writing
from registry.store.recorded_revisions import record_revision
from registry.store.revisions import StoredRevision
from registry.store.versions import StoredVersion, add_version
from understudy.domain.changes import Action, SetThreshold
from understudy.domain.deployments import Deployment
from understudy.domain.features import Feature, FeatureDtype, FeatureRef, FeatureView
from understudy.domain.snapshots import VersionSpec
from understudy.domain.versions import ScoreOutput, TensorSpec, VersionRef

FEW, MANY = 60, 100_000  # revisions; a rollback looks through 50
MODELS = 1_000
CHANGES = 30  # in each round
LARGEST_RATIO = 1.2
_MODEL = "fraud"
_ACTOR = Actor("bench@here")
_VIEW = FeatureView("card", 1, "card", (Feature("amount", FeatureDtype.FLOAT32, default=0.0),))
_SPEC = VersionSpec(
    ref=VersionRef(_MODEL, 0),
    artifact_digest="a" * 64,
    files=(),
    provenance_digest="b" * 64,
    inputs=(TensorSpec("X", "FP32", (-1, 1)),),
    outputs=(TensorSpec("p", "FP32", (-1, 1)),),
    feature_set=(FeatureRef.parse("card@1:amount"),),
    feature_views=(_VIEW,),
    score_output=ScoreOutput("p", 0),
    golden_tolerance=1e-5,
)


async def measure_changes(effort: Effort, folder: Path) -> list[Row]:
    """Compare the CPU of a change with that of one in a small registry."""
    few = _filled(folder / "few", history=FEW)
    cases = {
        f"change after {MANY:,} revisions": _filled(folder / "many", history=MANY),
        f"change among {MODELS:,} models": _filled(folder / "models", FEW, models=MODELS),
    }
    # All are measured in each round: other work on the machine slows them alike.
    rounds = [[_cpu_us(path) for path in (few, *cases.values())] for _ in range(effort.rounds)]
    few_us, *cpus_us = (min(of_one) for of_one in zip(*rounds, strict=True))
    return [_row(name, cpu_us, few_us) for name, cpu_us in zip(cases, cpus_us, strict=True)]


def _row(name: str, cpu_us: float, few_us: float) -> Row:
    ratio = cpu_us / few_us
    return Row(
        name=name,
        requests_per_s=round(1e6 / cpu_us, 1),
        goal=f"<= {LARGEST_RATIO} x the CPU in a small registry",
        met=ratio <= LARGEST_RATIO,
        cpu_us_per_request={"registry": round(cpu_us, 1)},
        note=f"{ratio:.2f} x the {few_us:.0f} us after {FEW} revisions of one model",
    )


def _cpu_us(path: Path) -> float:
    engine = open_database(path)
    try:
        change = _changing(engine)
        change(0)  # statements are compiled once
        began_s = time.process_time()
        for number in range(CHANGES):
            change(number + 1)
        return (time.process_time() - began_s) / CHANGES * 1e6
    finally:
        engine.dispose()


def _changing(engine: Engine) -> Callable[[int], None]:
    """Return a function that makes one change, and reads the changed model again."""
    changer = DeploymentChanger(engine, lambda: datetime.now(UTC))
    with reading(engine) as connection:
        state = reread(connection, StoredState(), None, standby_versions=1)

    def change(number: int) -> None:
        nonlocal state
        threshold = SetThreshold((number + 1) / 1e6)
        changer.change(ChangeRequest(_MODEL, threshold, "a benchmark", _ACTOR, None, dry_run=False))
        state = _reread(engine, state)

    return change


def _reread(engine: Engine, state: StoredState) -> StoredState:
    with reading(engine) as connection:
        return reread(connection, state, [_MODEL], standby_versions=1)


def _filled(folder: Path, history: int, *, models: int = 0) -> Path:
    """Return a database with that many revisions of one model, and copies of it as further models."""
    folder.mkdir(parents=True)
    path = folder / "registry.sqlite"
    engine = open_database(path)
    with writing(engine) as connection:
        add_version(connection, StoredVersion(_SPEC, "{}", _ACTOR.name, 1))
        first = Deployment(model=_MODEL, revision=1, champion=1, salt="s")
        first = replace(first, decision_threshold=0.5)
        made = StoredRevision(first, _ACTOR.name, Action.DEPLOY, "a benchmark", 1)
        record_revision(connection, None, made, _ACTOR)
    engine.dispose()
    with sqlite3.connect(path) as database:
        for table, place in (
            ("versions", "model"),
            ("revisions", "model"),
            ("named_versions", "model"),
        ):
            _copy(database, table, place, f"{place} || n", models)
        _copy(database, "revisions", "revision", "revision + n", history, f"model = '{_MODEL}'")
        _copy(database, "audit", "sequence", "2 + n", history, "sequence = 2")
    database.close()
    return path


def _copy(
    database: sqlite3.Connection, table: str, place: str, value: str, copies: int, where: str = "1"
) -> None:
    """Copy rows with another value in one column; n counts the copies."""
    names = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
    values = ", ".join(value if name == place else name for name in names)
    database.execute(
        "WITH RECURSIVE k(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM k WHERE n < ?) "  # noqa: S608 - our tables
        f"INSERT INTO {table} ({', '.join(names)}) SELECT {values} FROM {table}, k "
        f"WHERE {where} AND n <= ?",
        (max(copies, 1), copies),
    )


SCENARIOS = (Scenario("registry-change", measure_changes),)
