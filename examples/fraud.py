"""Fraud: rules first, then a model.

Shows: the amount of a payment comes with the call, the history of the payer from the store; a rule
answers for large amounts before the model does; the decision is by the threshold that the record
declares; a payer without history is scored with defaults, and the answer reports it.

    python -m examples.fraud
"""

from datetime import UTC, datetime

import numpy as np
from sklearn.ensemble import GradientBoostingClassifier

from examples.local_stack import LocalStack, local_stack
from understudy import train
from understudy.client import Decision, ScoringClient

RULES = (
    '- {name: too_large, feature: amount, operator: ">", value: 5000, action: review, score: 1}\n'
)
PAYERS = """payer,event_time,age_days,disputes
anna,2026-01-01T00:00:00Z,900,0
boris,2026-01-01T00:00:00Z,20,4
"""


def train_and_register(registry: str) -> GradientBoostingClassifier:
    """Return the fitted model, registered as fraud@1."""
    run = train.start_run("fraud", registry=registry, seeds={"rows": 7})
    random = np.random.default_rng(7)
    amounts, ages = random.gamma(2, 60, 4_000), random.integers(0, 2_000, 4_000)
    x = np.column_stack([amounts, ages, random.poisson(0.7, 4_000)]).astype(np.float32)
    risk = x[:, 0] / 100 + x[:, 2] - x[:, 1] / 500 + random.normal(size=4_000)
    y = (risk > 1).astype(np.int64)
    model = GradientBoostingClassifier(n_estimators=40, random_state=7).fit(x[:3_000], y[:3_000])

    quarter = (datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 4, 1, tzinfo=UTC))
    june = datetime(2025, 6, 1, tzinfo=UTC)
    training, kept = (x[:3_000], y[:3_000]), (x[3_000:], y[3_000:])
    with run:
        run.data(training, kept, window=quarter, labels_matured_at=june, split="random", seed=7)
        run.model(model)
        run.evaluate(threshold=0.5)
        run.policy(decision_threshold=0.5, fallback_score=0.2)
        run.register(reason="an example")
    return model


def deploy(stack: LocalStack) -> None:
    """Load the payers, make version 1 the champion, and put the rule before it."""
    stack.load_features("payer", PAYERS)
    rules = stack.folder / "rules.yaml"
    rules.write_text(RULES)
    stack.change("deploy", "fraud", "1", "--reason", "the first", "--expect-revision", "0")
    because = ("--reason", "large amounts are reviewed", "--expect-revision", "1")
    stack.change("rules", "fraud", "--file", str(rules), *because)


def main() -> None:
    with local_stack() as stack:
        model = train_and_register(stack.registry)
        deploy(stack)
        with ScoringClient(stack.router, timeout_s=60.0) as client:
            trusted = client.score("fraud", {"payer": "anna"}, features={"amount": 40.0})
            doubtful = client.score("fraud", {"payer": "boris"}, features={"amount": 400.0})
            large = client.score("fraud", {"payer": "anna"}, features={"amount": 9_000.0})
            unknown = client.score("fraud", {"payer": "nobody"}, features={"amount": 40.0})

    own = model.predict_proba([[40, 900, 0], [400, 20, 4], [40, 0, 0]])[:, 1]
    answers = (trusted, doubtful, unknown)
    assert np.allclose([each.score for each in answers], own, atol=1e-5)
    assert trusted.decision is Decision.BELOW
    assert doubtful.decision is Decision.AT_OR_ABOVE
    assert all(each.rule is None for each in answers)
    assert large.rule is not None
    assert (large.rule.name, large.rule.action, large.score) == ("too_large", "review", 1.0)
    assert set(unknown.degradation.defaulted_features) == {"age_days", "disputes"}
    print(f"anna pays 40: {trusted.score:.3f}, by the model")
    print(f"boris pays 400: {doubtful.score:.3f}, at or above the threshold")
    print(f"anna pays 9,000: {large.score:.3f}, by the rule {large.rule.name}: {large.rule.action}")
    print(f"an unknown payer pays 40: {unknown.score:.3f}, with defaults for the history")


if __name__ == "__main__":
    main()
