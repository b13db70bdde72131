"""Memory over many runs of random sizes, with the default arena and pattern settings."""

from pathlib import Path

import numpy as np
import psutil
import pytest
from onnx import helper, numpy_helper

from scorer.settings import ScorerSettings
from tests.artifact.models import save_model, tensor
from understudy.artifact.onnx_model import OnnxModel, open_model
from understudy.artifact.session_options import SessionOptions

RUNS = 100_000
LONGEST_ROWS = 256
WIDTH = 32
MOST_GROWTH_BYTES = 8 * 1024 * 1024


def small_network(path: Path) -> Path:
    weights = numpy_helper.from_array(np.full((WIDTH, WIDTH), 0.01, np.float32), "W")
    return save_model(
        path,
        [
            helper.make_node("MatMul", ["X", "W"], ["H"]),
            helper.make_node("Relu", ["H"], ["R"]),
            helper.make_node("MatMul", ["R", "W"], ["Y"]),
        ],
        [tensor("X", shape=("N", WIDTH))],
        [tensor("Y", shape=("N", WIDTH))],
        [weights],
    )


def run_random_sizes(model: OnnxModel, runs: int, seed: int) -> None:
    rows = np.ones((LONGEST_ROWS, WIDTH), np.float32)
    for size in np.random.default_rng(seed).integers(1, LONGEST_ROWS + 1, runs).tolist():
        model.run([rows[:size]], model.every_output)


@pytest.mark.long
def test_resident_memory_is_flat_over_many_runs_of_random_sizes(tmp_path: Path) -> None:
    shipped = ScorerSettings()
    options = SessionOptions(
        intra_op_threads=1,
        inter_op_threads=1,
        spin=False,
        arena=shipped.arena,
        memory_pattern=shipped.memory_pattern,
    )
    model = open_model(small_network(tmp_path / "m.onnx"), options)
    run_random_sizes(model, RUNS // 50, seed=1)
    process = psutil.Process()
    before_bytes = process.memory_info().rss

    run_random_sizes(model, RUNS, seed=2)

    assert process.memory_info().rss - before_bytes < MOST_GROWTH_BYTES
