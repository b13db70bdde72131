"""A process that collects artifacts, and kills itself at one of its removals if told so."""

import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from registry.collect_artifacts import Collected, CollectionRequest, Collector
from registry.decisions.actors import Actor
from registry.store.artifacts import ArtifactStore
from registry.store.database import open_database

KEEP_REVISIONS = 2


def everything(keep_revisions: int) -> CollectionRequest:
    """Ask to collect whatever nothing needs, however young it is."""
    return CollectionRequest(
        model=None,
        keep_revisions=keep_revisions,
        least_age=timedelta(days=-1),
        actor=Actor("ada@lab"),
        reason="a test",
        dry_run=False,
        expect_plan=None,
        deployments={},
        running=frozenset(),
    )


def collect(directory: Path) -> Collected:
    """Collect everything that can be."""
    engine = open_database(directory / "registry.sqlite")
    artifacts = ArtifactStore(directory / "artifacts")
    try:
        return Collector(engine, artifacts, lambda: datetime.now(UTC)).collect(
            everything(KEEP_REVISIONS)
        )
    finally:
        engine.dispose()


def die_at(removal: int) -> None:
    """Let this process be killed when it is about to remove its file of that number."""
    left = removal

    def observe(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        # Locks of the staging area are removed as well.
        if event == "os.remove" and not str(arguments[0]).endswith(".lock"):
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1

    sys.addaudithook(observe)


if __name__ == "__main__":
    sys.stdout.write("begun\n")
    sys.stdout.flush()
    if len(sys.argv) > 2:
        die_at(int(sys.argv[2]))
    collect(Path(sys.argv[1]))
