"""A host's expectations of an artifact survive a round trip through their file."""

from pathlib import Path

import pytest

from understudy.artifact.expectation import Expectation, read_expectation, write_expectation
from understudy.domain.errors import InvalidInputError
from understudy.domain.versions import DYNAMIC, ArtifactFile, TensorSpec


def test_an_expectation_survives_its_file(tmp_path: Path) -> None:
    expected = Expectation(
        files=(ArtifactFile("a", "b" * 64, 3),),
        inputs=(TensorSpec("X", "FP32", (DYNAMIC, 3)),),
        outputs=(TensorSpec("Y", "INT64", (2,)),),
        golden_tolerance=0.5,
    )
    write_expectation(tmp_path / "e.json", expected)

    assert read_expectation(tmp_path / "e.json") == expected
    (tmp_path / "e.json").write_text("{}")
    with pytest.raises(InvalidInputError, match="expectation"):
        read_expectation(tmp_path / "e.json")
