"""Paths below an artifact stay below it."""

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.artifact.paths import DEEPEST_PATH, LONGEST_NAME_BYTES, checked_path, is_confined
from understudy.domain.errors import InvalidInputError


@pytest.mark.parametrize(
    "name",
    [
        *("", "/", "//", "/a", "..", "../a", "a/../b", "a\\..\\b", "a//b", "a/", "./a", "."),
        *("a\0b", "a\nb", "\x7f", "\ud800"),
        "a" * (LONGEST_NAME_BYTES + 1),
        "é" * (LONGEST_NAME_BYTES // 2 + 1),
        "/".join("a" * (DEEPEST_PATH + 1)),
    ],
)
def test_paths_that_leave_or_are_not_portable_are_refused(name: str) -> None:
    assert not is_confined(name)
    with pytest.raises(InvalidInputError, match="files: read"):
        checked_path(name, "files")


@pytest.mark.parametrize(
    "text",
    [
        *("model.onnx", "a/b/c.bin", "w_0-1.dat", "model.onnx_data", "notes (2).txt", ".hidden"),
        *("modèle.onnx", "..a", "a..", "~", "a:b", "-x"),
        "a" * LONGEST_NAME_BYTES,
        "/".join("a" * DEEPEST_PATH),
    ],
)
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
    assert str(path) == text
