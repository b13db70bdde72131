"""Credit scoring with texts and missing values.

Shows: a scikit-learn pipeline with categories, converted whole, so that callers send texts; an income
that some applicants do not state reaches the model as missing, because its feature has no default
and the conversion is proven for that case; a text that no training row had.

    python -m examples.credit
"""

from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from examples.local_stack import LocalStack, local_stack
from understudy import train
from understudy.client import ScoringClient

APPLICANTS = """applicant,event_time,income,employment
anna,2026-01-01T00:00:00Z,52000,permanent
boris,2026-01-01T00:00:00Z,,freelance
"""


def applications(random: np.random.Generator, count: int) -> NDArray[Any]:
    """Return rows of income (a fifth is NaN), employment, amount and purpose."""
    rows = np.empty((count, 4), dtype=np.object_)
    income = random.gamma(4, 10_000, count).round()
    rows[:, 0] = np.where(random.random(count) < 0.2, np.nan, income)
    rows[:, 1] = random.choice(["permanent", "temporary", "freelance", "unknown"], count)
    rows[:, 2] = random.gamma(2, 4_000, count).round()
    rows[:, 3] = random.choice(["car", "home", "education", "other"], count)
    return rows


def build() -> Pipeline:
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    columns = [
        ("numbers", numbers, [0, 2]),
        ("texts", OneHotEncoder(handle_unknown="ignore"), [1, 3]),
    ]
    return make_pipeline(ColumnTransformer(columns), LogisticRegression(random_state=5))


def train_and_register(registry: str) -> Pipeline:
    """Return the fitted pipeline, registered as credit@1."""
    run = train.start_run("credit", registry=registry, seeds={"rows": 5})
    random = np.random.default_rng(5)
    x = applications(random, 4_000)
    income = np.nan_to_num(x[:, 0].astype(np.float64), nan=30_000)
    burden = x[:, 2].astype(np.float64) / income + (x[:, 1] == "temporary") * 0.4
    y = (burden + random.normal(size=4_000) / 5 > 0.5).astype(np.int64)
    model = build().fit(x[:3_000], y[:3_000])

    year = (datetime(2024, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC))
    matured = datetime(2026, 1, 1, tzinfo=UTC)
    training, kept = (x[:3_000], y[:3_000]), (x[3_000:], y[3_000:])
    with run:
        run.data(training, kept, window=year, labels_matured_at=matured, split="random", seed=5)
        run.model(model)
        run.evaluate(threshold=0.3)
        run.policy(decision_threshold=0.3, fallback_score=1.0)
        run.register(reason="an example")
    return model


def deploy(stack: LocalStack) -> None:
    """Load the applicants, and make version 1 the champion."""
    stack.load_features("applicant", APPLICANTS)
    stack.change("deploy", "credit", "1", "--reason", "the first", "--expect-revision", "0")


def main() -> None:
    car: dict[str, Any] = {"amount": 9_000.0, "purpose": "car"}
    boat: dict[str, Any] = {"amount": 9_000.0, "purpose": "boat"}
    with local_stack() as stack:
        model = train_and_register(stack.registry)
        deploy(stack)
        with ScoringClient(stack.router, timeout_s=60.0) as client:
            stated = client.score("credit", {"applicant": "anna"}, features=car)
            unstated = client.score("credit", {"applicant": "boris"}, features=car)
            unseen = client.score("credit", {"applicant": "anna"}, features=boat)

    rows = np.array(
        [
            [52_000.0, "permanent", 9_000.0, "car"],
            [np.nan, "freelance", 9_000.0, "car"],
            [52_000.0, "permanent", 9_000.0, "boat"],
        ],
        dtype=np.object_,
    )
    own = model.predict_proba(rows)[:, 1]
    scores = [each.score for each in (stated, unstated, unseen)]
    assert np.allclose(scores, own, atol=1e-5)
    # An applicant's null is a fact, and no degradation of the answer.
    assert unstated.degradation == stated.degradation
    assert not stated.degradation.missing_features
    print(f"anna, a car: {stated.score:.3f}")
    print(f"boris, who states no income: {unstated.score:.3f}, as the pipeline scores it")
    print(f"anna, a boat, which no training row had: {unseen.score:.3f}, as the pipeline scores it")


if __name__ == "__main__":
    main()
