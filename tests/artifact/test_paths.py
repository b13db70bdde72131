"""Paths below an artifact stay below it."""

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.artifact.artifact import is_confined
from understudy.artifact.paths import checked_path
from understudy.domain.errors import InvalidInputError


@pytest.mark.parametrize("name", ["", "/a", "../a", "a/../b", "a\\..\\b"])
def test_paths_that_leave_are_not_confined(name: str) -> None:
    assert not is_confined(name)
    assert is_confined("a/b.bin")


@pytest.mark.parametrize("text", ["model.onnx", "a/b/c.bin", "w_0-1.dat"])
def test_a_path_below_the_artifact_is_accepted(text: str) -> None:
    assert checked_path(text, "path") == text


@given(
    st.text(max_size=12)
    | st.lists(st.sampled_from(["..", ".", "", "a", "/", "\\", "\0", "~"])).map("/".join)
)
def test_no_accepted_path_leaves_the_artifact(text: str) -> None:
    try:
        checked_path(text, "path")
    except InvalidInputError:
        return
    path = PurePosixPath(text)
    assert not path.is_absolute()
    assert ".." not in path.parts
    assert not {"\\", "\0"} & set(text)
