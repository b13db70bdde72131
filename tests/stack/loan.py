"""Versions of a model that read different entities and request-time features, made for tests.

loan@1  user
loan@2  user, merchant
loan@3  merchant, user: the same in another order
loan@4  user, and two features that only requests supply
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import yaml
from sklearn.linear_model import LogisticRegression

from understudy import train
from understudy.features.decisions.record_format import pack_record, record_format
from understudy.features.stores import open_writer
from understudy.features.views import load_views
from understudy.runtime.distribution import SERVING

MODEL = "loan"
USER = ("user@1:a", "user@1:b")
FEATURE_SETS = {
    1: USER,
    2: (*USER, "merchant@1:m"),
    3: ("merchant@1:m", *USER),
    4: (*USER, "basket@1:amount", "basket@1:serial"),
}
_VIEWS = {
    "views": [
        {
            "name": "user",
            "version": 1,
            "entity": "user",
            "features": [{"name": name, "dtype": "float32", "default": 0} for name in "ab"],
        },
        {
            "name": "merchant",
            "version": 1,
            "entity": "merchant",
            "features": [{"name": "m", "dtype": "float32", "default": 0}],
        },
        {
            "name": "basket",
            "version": 1,
            "kind": "request",
            "features": [
                {"name": "amount", "dtype": "float64", "default": 0},
                {"name": "serial", "dtype": "int64", "default": 0},
            ],
        },
    ]
}
_DEFAULTS = """
[tool.understudy]
views = "views.yaml"
lockfile = "environment.lock"
[tool.understudy.people]
owner = "risk team"
contact = "risk@example.org"
approver = "grace@lab"
[tool.understudy.policy]
intended_use = "tests only"
licence = "Apache-2.0"
revalidate_after_days = 300
"""
_CODE = train.InstalledCode(SERVING, ("understudy.domain",))
_TRAINED_ON, _ROWS = 250, 400
_WINDOW = (datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class Loan:
    """The files of an author and of an operator of the model, in a folder."""

    folder: Path

    def write(self) -> None:
        """Write the views, and the facts that are the same for all versions."""
        self.folder.mkdir(parents=True)
        (self.folder / "views.yaml").write_text(yaml.safe_dump(_VIEWS))
        (self.folder / "pyproject.toml").write_text(_DEFAULTS)
        (self.folder / "environment.lock").write_text("numpy==2\n")

    def load_features(self, store_url: str) -> None:
        """Write a record for users u0 to u9 and merchants m0 to m9."""
        views = {view.name: view for view in load_views(self.folder / "views.yaml")}
        writer = open_writer(store_url)
        at_ms = round(datetime.now(UTC).timestamp() * 1000)
        for name, values in (("user", {"a": 0.5, "b": 0.25}), ("merchant", {"m": 1.5})):
            packed = pack_record(record_format(views[name]), values, event_time_ms=at_ms)
            writer.write(
                views[name], [(f"{name[0]}{index}", packed) for index in range(10)], mark=None
            )
        writer.close_now()

    def register(self, number: int, registry: str) -> None:
        """Train and register a version, measured beside the champion of the time."""
        refs = FEATURE_SETS[number]
        started = train.start_run(
            MODEL,
            features=refs,
            seeds={"rows": number},
            registry=registry,
            directory=self.folder,
            entry_point="tests.stack.loan",
            installed=_CODE,
        )
        with started as run:
            random = np.random.default_rng(number)
            x = random.normal(size=(_ROWS, len(refs))).astype(np.float32)
            is_integer = [ref.endswith(":serial") for ref in refs]
            x[:, is_integer] = np.round(x[:, is_integer])
            y = (x.sum(axis=1) + random.normal(size=_ROWS) / 2 > 0).astype(np.int64)
            training, kept = (x[:_TRAINED_ON], y[:_TRAINED_ON]), (x[_TRAINED_ON:], y[_TRAINED_ON:])
            run.data(
                training,
                kept,
                uri=f"memory:{number}",
                label="paid back within 90 days",
                window=_WINDOW,
                labels_matured_at=_WINDOW[1],
                split="random",
                seed=number,
            )
            run.model(LogisticRegression().fit(*training))
            run.evaluate(threshold=0.5)
            run.policy(decision_threshold=0.5, fallback_score=0.5)
            assert run.register(reason="a test").number == number
