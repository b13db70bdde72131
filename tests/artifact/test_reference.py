"""docs/reference/artifact.md agrees with the code."""

import re
from pathlib import Path
from typing import Any

import numpy as np
from onnx import helper

from tests.artifact.checked import check
from tests.artifact.models import save_model, tensor
from understudy.artifact.npz import MOST_BYTES
from understudy.artifact.paths import DEEPEST_PATH, LONGEST_NAME_BYTES
from understudy.artifact.signature import DTYPE_OF

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "artifact.md"


def test_each_datatype_is_in_the_reference() -> None:
    text = REFERENCE.read_text()
    table = text[text.index("| datatype | numpy |") :].split("\n\n")[0].splitlines()[2:]

    assert table == [f"| {name} | {dtype.name} |" for name, dtype in DTYPE_OF.items()]


def test_the_limits_equal_those_of_the_code() -> None:
    text = " ".join(REFERENCE.read_text().split())

    assert f"at most {MOST_BYTES >> 20} MiB uncompressed" in text
    assert f"between at most {DEEPEST_PATH} names" in text
    assert f"at most {LONGEST_NAME_BYTES} bytes in UTF-8" in text


def test_the_examples_write_golden_vectors_that_pass(tmp_path: Path) -> None:
    save_model(
        tmp_path / "model.onnx",
        [helper.make_node("Softmax", ["X"], ["probabilities"])],
        [tensor("X")],
        [tensor("probabilities")],
    )
    examples = re.findall(r"```python\n(.*?)```", REFERENCE.read_text(), re.DOTALL)
    names: dict[str, Any] = {"artifact_dir": tmp_path, "rows": np.eye(20, 3), "model": Original()}

    for example in examples:
        exec(example, names)  # noqa: S102 - our own page
        assert check(tmp_path).golden_rows == 16
        (tmp_path / "golden.npz").unlink()
    assert len(examples) == 2


class Original:
    """The model before its conversion."""

    def predict_proba(self, rows: Any) -> Any:
        weights = np.exp(rows)
        return weights / weights.sum(axis=1, keepdims=True)
