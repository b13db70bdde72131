"""Output files named on a command line."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from understudy.domain.errors import Fault, InvalidInputError


@contextmanager
def writing(path: Path, *, option: str) -> Iterator[None]:
    """Attribute failures to write `path` to `option`, which named it.

    Raises:
        InvalidInputError: the file cannot be written.
    """
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error)
        fault = Fault(
            option, f"{path}: {why}", "a file that can be written, in a folder that exists"
        )
        raise InvalidInputError([fault]) from error
