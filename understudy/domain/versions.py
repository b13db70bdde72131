"""A version: `fraud@7`, its artifact and its signature."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Self

from understudy.domain.canonical import digest_of
from understudy.domain.errors import InvalidInputError

MODEL_FILE = "model.onnx"  # the file that is loaded from an artifact
GOLDEN_FILE = "golden.npz"  # its golden vectors: arrays `in:<name>` and `out:<name>`
DYNAMIC = -1  # a dimension whose size is known only at run time

GREATEST_VERSION = (1 << 32) - 1  # number of a version that messages can carry

_MODEL_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_NUMBER = re.compile(r"0*[1-9][0-9]{0,9}")
_MODEL_NAME_RULE = "1 to 63 of a-z, 0-9, '_' and '-', starting with a letter or digit"


def is_model_name(text: str) -> bool:
    return _MODEL_NAME.fullmatch(text) is not None


def checked_model_name(name: str, field: str = "model") -> str:
    """Return `name` if it is a valid model name.

    Raises:
        InvalidInputError: it is invalid; the error names `field`.
    """
    if not is_model_name(name):
        raise InvalidInputError.of(field, read=name, accepted=_MODEL_NAME_RULE)
    return name


@dataclass(frozen=True, slots=True, order=True)
class VersionRef:
    """One immutable version of a model, written `fraud@7`. Numbers start at 1."""

    model: str
    number: int

    def __str__(self) -> str:
        return f"{self.model}@{self.number}"

    @classmethod
    def parse(cls, text: str, field: str = "version") -> Self:
        """Read `fraud@7`.

        Raises:
            InvalidInputError: `text` does not have this form.
        """
        model, separator, number = text.partition("@")
        if not (separator and _NUMBER.fullmatch(number) and int(number) <= GREATEST_VERSION):
            accepted = f"MODEL@NUMBER, e.g. fraud@7, with a number from 1 to {GREATEST_VERSION}"
            raise InvalidInputError.of(field, read=text, accepted=accepted)
        return cls(checked_model_name(model, field), int(number))


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name, Open Inference Protocol datatype (e.g. FP32) and shape (`DYNAMIC` for any size)."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ArtifactFile:
    path: str  # relative, POSIX, below the artifact
    sha256: str
    size_bytes: int


def artifact_digest(files: Sequence[ArtifactFile]) -> str:
    """Return the digest of an artifact, over path, sha256 and size of each file."""
    return digest_of("artifact/1", {"files": [asdict(file) for file in sorted(files, key=_path)]})


def _path(file: ArtifactFile) -> str:
    return file.path


@dataclass(frozen=True, slots=True)
class ScoreOutput:
    """The place of the score in the model's outputs: output name, and column of its row.

    An author who names no column means the only one; the gate refuses an output that has several.
    """

    output: str
    column: int = 0
    names_column: bool = field(default=True, compare=False)

    @classmethod
    def parse(cls, text: str) -> "ScoreOutput":
        """Read OUTPUT or OUTPUT:COLUMN; the name of an output may contain colons itself."""
        output, separator, column = text.rpartition(":")
        if separator and column.isascii() and column.isdigit():
            return cls(output, int(column))
        return cls(text, names_column=False)
