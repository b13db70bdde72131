"""Batches with valid defaults; a test states only what matters to it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Event
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from understudy.domain.logged_features import FeatureList, ListedFeatures, LoggedFeatures, Part
from understudy.logs.batches import (
    OutcomeBatchLog,
    ScoreBatchLog,
    ShadowBatchLog,
    ShadowStatus,
)

AT_US = 1_795_000_000_000_000  # 2026-11-18T11:06:40Z
DATE = "2026-11-18"
DAY_US = 86_400_000_000


@dataclass(frozen=True)
class Share:
    """An arm of a split."""

    arm: str
    version: int
    weight_bp: int


CHAMPION_ONLY = (Share("champion", 7, 10_000),)


def score_batch(rows: int = 3, *, width: int = 2, first: int = 0, **given: Any) -> ScoreBatchLog:
    numbers = np.arange(first, first + rows)
    columns: dict[str, Any] = {
        "model": "fraud",
        "version": 7,
        "arm": "champion",
        "revision": 4,
        "at_us": AT_US,
        "request_ids": [f"r{number}" for number in numbers],
        "entity_ids": [f"u{number}" for number in numbers],
        "scores": numbers / 1000,
        "decisions": np.full(rows, -1, np.int8),
        "levels": np.zeros(rows, np.uint8),
        "queue_s": (numbers * 1e-6).tolist(),
        "total_s": ((numbers + 500) * 1e-6).tolist(),
        "fetch_us": 40,
        "infer_us": 300,
        "split": CHAMPION_ONLY,
        "seats": [0] * rows,
    }
    if width:
        matrix = numbers[:, None] + np.arange(width) / 10
        columns["features"] = float_features(matrix)
    return ScoreBatchLog(**columns | given)


def float_features(
    matrix: NDArray[np.generic], names: Sequence[str] = (), views: Sequence[str] = ("view@1",)
) -> LoggedFeatures:
    """Return features of one tensor of float32, read from records that are a second old."""
    rows, width = matrix.shape
    of_list = tuple(names) or tuple(f"view@1:f{index}" for index in range(width))
    listed = ListedFeatures(of_list, ((FeatureList.FLOATS, of_list),), ((Part(0),),), tuple(views))
    read_at_ms = AT_US // 1000
    event_times_ms = np.full((rows, len(views)), read_at_ms - 1000)
    return LoggedFeatures(listed, (matrix.astype(np.float32),), event_times_ms, read_at_ms)


def shadow_batch(
    champion: Sequence[float] = (0.1, 0.2, 0.3),
    shadow: Sequence[float] | None = None,
    *,
    first: int = 0,
    **given: Any,
) -> ShadowBatchLog:
    numbers = range(first, first + len(champion))
    columns: dict[str, Any] = {
        "model": "fraud",
        "shadow_version": 9,
        "version": 7,
        "arm": "champion",
        "revision": 4,
        "at_us": AT_US,
        "request_ids": [f"r{number}" for number in numbers],
        "entity_ids": [f"u{number}" for number in numbers],
        "scores": np.array(champion, np.float64),
        "shadow_scores": np.array(champion if shadow is None else shadow, np.float64),
        "status": ShadowStatus.OK,
        "infer_us": 300,
    }
    columns |= given
    return ShadowBatchLog(**columns | {"status": ShadowStatus(columns["status"])})


def outcome_batch(
    labels: Sequence[float] = (0.0, 1.0, 1.0), *, first: int = 0, **given: Any
) -> OutcomeBatchLog:
    columns: dict[str, Any] = {
        "model": "fraud",
        "at_us": AT_US + 1_000_000,
        "request_ids": [f"r{number}" for number in range(first, first + len(labels))],
        "labels": np.array(labels, np.float64),
        "observed_at_us": np.full(len(labels), AT_US + 500_000),
    }
    return OutcomeBatchLog(**columns | given)


def wait_until(claim: Callable[[], bool], *, what: str, limit_s: float = 60.0) -> None:
    """Return once `claim` holds; fail with `what` if it does not hold within the limit."""
    end_s = monotonic() + limit_s
    never = Event()
    while not claim():
        assert monotonic() < end_s, f"not within {limit_s} s: {what}"
        never.wait(0.002)
