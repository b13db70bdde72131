"""The rule for paths of files in an artifact."""

from pathlib import PurePosixPath

from understudy.domain.errors import InvalidInputError

LONGEST_NAME_BYTES = 200  # file systems allow 255, and the cache adds a suffix while it fetches
DEEPEST_PATH = 8
_ACCEPTED = (
    f"a relative path of at most {DEEPEST_PATH} names without '..', '\\' and control characters, "
    f"each at most {LONGEST_NAME_BYTES} bytes"
)


def is_confined(text: str) -> bool:
    """Return whether `text` is a path below the folder to which it is relative, on any machine."""
    parts = PurePosixPath(text).parts
    return (
        1 <= len(parts) <= DEEPEST_PATH
        and text == "/".join(parts)  # one spelling per file: no empty names, no "."
        and all(_is_name(part) for part in parts)
    )


def checked_path(text: str, field: str) -> str:
    """Return `text` if it is the path of a file in an artifact (see `is_confined`).

    Raises:
        InvalidInputError: it is not; the error names `field`.
    """
    if not is_confined(text):
        raise InvalidInputError.of(field, read=text, accepted=_ACCEPTED)
    return text


def _is_name(part: str) -> bool:
    return (
        part != ".."
        and not {"/", "\\"} & set(part)  # "/" is the first part of an absolute path
        and part.isprintable()  # no NUL, no line breaks, valid UTF-8
        and len(part.encode()) <= LONGEST_NAME_BYTES
    )
