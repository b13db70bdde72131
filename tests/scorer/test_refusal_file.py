"""The reason that a scorer leaves for its host, whole up to the limit of reports."""

from pathlib import Path

import pytest

from scorer.refusal_file import Refusal, read_refusal, write_refusal
from understudy.domain.errors import CorruptedError, Fault, InvalidInputError, UnderstudyError

LATE = "x" * 300 + " the point of the reason"


@pytest.mark.parametrize(
    ("error", "refusal"),
    [
        (
            InvalidInputError(
                [Fault("model.onnx", LATE, "a model that loads"), Fault("b", "1", "2")]
            ),
            Refusal(
                f"model.onnx: read {LATE}; accepted: a model that loads; b: read 1; accepted: 2"
            ),
        ),
        (InvalidInputError([Fault("a", "y" * 5000, "z")]), Refusal(f"a: read {'y' * 992}")),
        (CorruptedError("the file differs"), Refusal("the file differs", corrupted=True)),
    ],
)
def test_a_reason_is_not_cut_before_its_point(
    tmp_path: Path, error: UnderstudyError, refusal: Refusal
) -> None:
    write_refusal(tmp_path / "status", error)

    assert read_refusal(tmp_path / "status") == refusal
