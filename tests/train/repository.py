"""An author's repository: a git checkout with views, a lockfile, and defaults in pyproject.toml."""

import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from understudy import train

AUTHOR = "ada@lab"
WINDOW = (datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 7, 1, tzinfo=UTC))
FEATURES = ("amount", "age", "visits")
_DEFAULTS = """
[tool.understudy]
registry = "127.0.0.1:1"
views = "views.yaml"
lockfile = "environment.lock"

[tool.understudy.people]
owner = "risk team"
author = "ada@lab"
contact = "risk@example.org"
approver = "grace@lab"

[tool.understudy.policy]
licence = "Apache-2.0"
revalidate_after_days = 365

[tool.understudy.models.fraud.policy]
intended_use = "tests only"
"""


@dataclass(frozen=True)
class Repository:
    root: Path

    def start(self, **changes: Any) -> train.Run:
        values: dict[str, Any] = {
            "directory": self.root,
            "entry_point": "training.py",
            "seeds": {"split": 7},
        }
        return train.start_run("fraud", **{**values, **changes})


def make_repository(root: Path, features: list[dict[str, Any]]) -> Repository:
    """Return a clean checkout at `root` with a view `user@1` of these features."""
    view = {"name": "user", "version": 1, "entity": "user", "features": features}
    root.mkdir(exist_ok=True)
    (root / "views.yaml").write_text(yaml.safe_dump({"views": [view]}))
    (root / "environment.lock").write_text("numpy==2\n")
    (root / "pyproject.toml").write_text(_DEFAULTS)
    (root / "training.py").write_text("fit()\n")
    commit_all(root)
    return Repository(root)


def commit_all(root: Path) -> None:
    """Make `root` a clean checkout of what it contains."""
    for arguments in (("init", "-q"), ("add", "."), ("commit", "-qm", "train")):
        git(root, *arguments)


def git(root: Path, *arguments: str) -> str:
    """Run git in a checkout as some author; return its output."""
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    command = ["git", "-C", str(root), *identity, *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def numbers(names: tuple[str, ...] = FEATURES, **more: Any) -> list[dict[str, Any]]:
    return [{"name": name, "dtype": "float32", **more} for name in names]


def rows_of(
    seed: int, count: int = 300, width: int = len(FEATURES)
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return rows and labels, which the sum of a row decides with some noise."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(count, width)).astype(np.float32)
    y = (x.sum(axis=1) + random.normal(size=count) / 2 > 0).astype(np.int64)
    return x, y


def describe(run: train.Run, training: Any, evaluation: Any) -> None:
    """Record the data with facts that satisfy the gate."""
    run.data(
        training,
        evaluation,
        uri="memory:rows",
        window=WINDOW,
        label="paid within 90 days",
        labels_matured_at=datetime(2025, 8, 1, tzinfo=UTC),
        split="random",
        seed=7,
    )
