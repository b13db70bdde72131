"""The warm-up of a model ends before its limit, however slow the model is."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from understudy.artifact.warm_up import LONGEST_WARM_UP_S, warm_up
from understudy.domain.errors import InvalidInputError


@dataclass
class TimedModel:
    """A model that takes `per_row_s` of its own clock for each row."""

    per_row_s: float
    time_s: float = 0.0
    every_output: Sequence[int] = (0,)
    rows: list[int] = field(default_factory=list)

    mixes_above: int = 1 << 20  # rows

    def run(self, inputs: Sequence[Any], _: Sequence[int]) -> Sequence[Any]:
        self.rows.append(len(inputs[0]))
        self.time_s += self.per_row_s * len(inputs[0])
        if len(inputs[0]) > self.mixes_above:
            return [array - array.mean() for array in inputs]
        return inputs

    def now_s(self) -> float:
        return self.time_s


@pytest.mark.parametrize(
    ("per_row_s", "largest"),
    [(1e-6, 256), (0.0005, 256), (0.01, 32), (0.1, 2), (24.0, 1)],
)
def test_batches_grow_only_while_the_next_size_fits_into_the_limit(
    per_row_s: float, largest: int
) -> None:
    model = TimedModel(per_row_s)
    told: list[tuple[int, float]] = []

    warm_up(
        model,  # type: ignore[arg-type]  # the parts of a model that a warm-up uses
        (np.zeros((1, 2), np.float32),),
        256,
        lambda rows, seconds: told.append((rows, round(seconds, 9))),
        now_s=model.now_s,
    )

    assert model.rows == [2**power for power in range(largest.bit_length()) for _ in range(3)]
    assert told == [(rows, round(rows * per_row_s, 9)) for rows in model.rows]
    assert largest == 1 or model.time_s <= LONGEST_WARM_UP_S


@pytest.mark.parametrize("above", [1, 10, 40, 100, 255])
def test_a_model_that_mixes_only_rows_of_large_batches_is_refused(above: int) -> None:
    model = TimedModel(1e-6, mixes_above=above)

    with pytest.raises(InvalidInputError, match="have other answers in a batch of"):
        warm_up(
            model,  # type: ignore[arg-type]  # as above
            (np.arange(6, dtype=np.float32).reshape(3, 2),),
            256,
            lambda rows, seconds: None,
            now_s=model.now_s,
        )

    assert above < model.rows[-1] <= 2 * above or above == 1
