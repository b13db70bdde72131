"""Search in two stages: 200 candidates are retrieved by similarity, and re-ranked by a model.

Shows: one ScoreBatch for all candidates, with a feature of the request for each (the similarity),
stored features of each item, and one of the shopper that all share; the best ten come back, ordered;
a model that ranks, with its metrics and without a threshold.

    python -m examples.rerank
"""

from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.metrics import ndcg_score

from examples.local_stack import LocalStack, local_stack
from understudy import train
from understudy.client import ScoringClient

ITEMS, RETRIEVED, SHOWN, QUERIES = 2_000, 200, 10, 60
WIDTH = 8  # of the embeddings
BUDGET = 60.0


class Shop:
    """Items with embeddings, and the true relevance of a candidate."""

    def __init__(self) -> None:
        self.random = np.random.default_rng(11)
        self.embeddings = self.random.normal(size=(ITEMS, WIDTH))
        self.popularity = self.random.random(ITEMS).astype(np.float32)
        self.price = self.random.gamma(3, 20, ITEMS).astype(np.float32)

    def retrieve(self) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """Return the items most similar to a new query, best first, and their similarities."""
        similarity = self.embeddings @ self.random.normal(size=WIDTH) / WIDTH
        found = np.argsort(-similarity)[:RETRIEVED]
        return found, similarity[found].astype(np.float32)

    def rows(
        self, found: NDArray[np.intp], similarity: NDArray[np.float32], budget: float
    ) -> NDArray[np.float32]:
        """Return the candidates as the model reads them, shape (n, 4)."""
        budgets = np.full(len(found), budget, np.float32)
        return np.column_stack([similarity, self.popularity[found], self.price[found], budgets])

    def relevance(self, rows: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return 0, 1 or 2 for each row; shoppers want popular items within their budget."""
        wish = rows[:, 0] + 2 * rows[:, 1] - np.maximum(rows[:, 2] / rows[:, 3] - 1, 0)
        grades: NDArray[np.int64] = np.digitize(
            wish + self.random.normal(size=len(rows)) / 4, [2.2, 2.8]
        )
        return grades


def train_and_register(registry: str, shop: Shop) -> GradientBoostingRegressor:
    """Return the fitted model, registered as rerank@1."""
    run = train.start_run("rerank", registry=registry, seeds={"rows": 11})
    budgets = shop.random.integers(20, 120, QUERIES)
    x = np.concatenate([shop.rows(*shop.retrieve(), budget) for budget in budgets])
    y, queries = shop.relevance(x), np.repeat(np.arange(QUERIES), RETRIEVED)
    past, kept = queries < QUERIES - 15, queries >= QUERIES - 15
    model = GradientBoostingRegressor(n_estimators=60, random_state=11).fit(x[past], y[past])

    year = (datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))
    with run:
        run.data(
            (x[past], y[past]),
            (x[kept], y[kept]),
            window=year,
            labels_matured_at=year[1],
            split="grouped",
            description="the last 15 queries are kept",
        )
        run.model(model, kind="ranking")
        run.evaluate(queries=queries[kept], at=SHOWN)
        run.policy(fallback_score=0.0)
        run.register(reason="an example")
    return model


def deploy(stack: LocalStack, shop: Shop) -> None:
    """Load the features of items and of a shopper, and make version 1 the champion."""
    rows = [
        f"i{at},2026-01-01T00:00:00Z,{shop.popularity[at]!s},{shop.price[at]!s}"
        for at in range(ITEMS)
    ]
    stack.load_features("item", "\n".join(["item,event_time,popularity,price", *rows]))
    stack.load_features(
        "shopper", f"shopper,event_time,budget\nanna,2026-01-01T00:00:00Z,{BUDGET}\n"
    )
    stack.change("deploy", "rerank", "1", "--reason", "the first", "--expect-revision", "0")


def main() -> None:
    shop = Shop()
    with local_stack() as stack:
        model = train_and_register(stack.registry, shop)
        deploy(stack, shop)
        found, similarity = shop.retrieve()
        candidates = {
            f"i{item}": {"similarity": float(near)}
            for item, near in zip(found, similarity, strict=True)
        }
        with ScoringClient(stack.router, timeout_s=60.0) as client:
            answer = client.score_batch(
                "rerank",
                candidates,
                candidate_entity="item",
                entities={"shopper": "anna"},
                top_k=SHOWN,
            )

    rows = shop.rows(found, similarity, BUDGET)
    own = model.predict(rows)
    best = np.sort(own)[::-1][:SHOWN]
    scores = [each.score or 0.0 for each in answer.results]
    assert np.allclose(scores, best, atol=1e-5)
    assert {each.id for each in answer.results} <= set(candidates)
    assert all(each.error is None for each in answer.results)
    truth = shop.relevance(rows)[None, :]
    before = ndcg_score(truth, similarity[None, :], k=SHOWN)
    after = ndcg_score(truth, own[None, :], k=SHOWN)
    assert after > before
    print(f"{len(candidates)} candidates, the best: {', '.join(e.id for e in answer.results)}")
    print(f"NDCG@{SHOWN}: {before:.2f} by similarity, {after:.2f} by rerank@1")


if __name__ == "__main__":
    main()
