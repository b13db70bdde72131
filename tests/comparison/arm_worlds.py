"""Live arms with a known truth: sticky units with several rows, a weight that rises, and drift."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from understudy.comparison.decisions.slicing import Codes
from understudy.comparison.evidence.arm_rows import AssignedRows

SEGMENTS = ("a", "b", "c", "d")
_SHARES = (0.5, 0.3, 0.1, 0.1)
_RISING = ((0.1, 0.0), (0.25, 0.05), (0.5, 0.15))  # weights, each with what it adds to scores


@dataclass(frozen=True)
class ArmWorld:
    """The rows of both arms, and the segment of each unit, which no arm decides."""

    rows: AssignedRows
    columns: dict[str, Codes]


def arm_world(
    seed: int, units: int = 1_500, *, harm: float = 0.0, with_outcomes: bool = True
) -> ArmWorld:
    """Return arms of one law, but for noise that a challenger adds on segment "c".

    Args:
        seed: of all randomness.
        units: of both arms; each has a geometric number of rows in about half of the steps.
        harm: standard deviation of the noise; 0: the arms are equal.
        with_outcomes: whether rows have outcomes.
    """
    random = np.random.default_rng(seed)
    latent, own, segment = (
        random.random(units),
        random.normal(0, 0.1, units),
        _segments(random, units),
    )
    parts: list[tuple[NDArray[np.generic], ...]] = []
    for weight, drift in _RISING:
        active = np.where(random.random(units) < 0.5, random.geometric(0.4, units), 0)
        unit = np.repeat(np.arange(units), active)
        is_challenger = latent[unit] < weight
        truth = random.random(unit.size) < 0.3 + drift
        score = 0.3 + drift + 0.3 * truth + own[unit] + random.normal(0, 0.1, unit.size)
        is_harmed = is_challenger & (segment[unit] == SEGMENTS.index("c"))
        score += np.where(is_harmed, random.normal(0, 1, unit.size) * harm, 0.0)
        share = np.where(is_challenger, weight, 1 - weight)
        parts.append((unit, is_challenger, truth, np.clip(score, 0, 1), share))
    unit, is_challenger, truth, score, share = map(np.concatenate, zip(*parts, strict=True))
    order = np.argsort(unit, kind="stable")
    nothing = np.zeros(order.size)
    label = truth[order].astype(np.float64) if with_outcomes else np.full(order.size, np.nan)
    rows = AssignedRows(
        is_challenger=is_challenger[order],
        assigned_bp=np.round(share[order] * 10_000).astype(np.uint16),
        score=score[order],
        label=label,
        level=nothing.astype(np.uint8),
        total_us=nothing.astype(np.uint32),
        day=nothing.astype(np.int32),
        unit=unit[order],
    )
    hour = random.integers(0, 4, order.size).astype(np.int8)
    return ArmWorld(
        rows, {"segment": (segment[rows.unit], SEGMENTS), "quarter": (hour, tuple("1234"))}
    )


def _segments(random: np.random.Generator, units: int) -> NDArray[np.int8]:
    return random.choice(len(SEGMENTS), units, p=_SHARES).astype(np.int8)
