"""Names of files below an artifact, wherever the artifact lies."""

import re
from pathlib import PurePosixPath

from understudy.domain.errors import (
    InvalidInputError,
)

_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")


_DEEPEST_PATH = 4


def checked_path(text: str, field: str) -> str:
    """Return `text` when it names a file below an artifact, wherever the artifact lies.

    Raises:
        InvalidInputError: it is absolute, climbs, or holds unusual characters.
    """
    parts = PurePosixPath(text).parts
    sound = text == "/".join(parts) and all(_PART.fullmatch(part) for part in parts)
    if not (sound and 1 <= len(parts) <= _DEEPEST_PATH):
        raise InvalidInputError.of(
            field, read=text, accepted="a relative path of letters, digits, '.', '_' and '-'"
        )
    return text
