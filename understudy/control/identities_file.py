"""The file of identities: read whole, replaced whole."""

import json
import os
from pathlib import Path

from understudy.domain.errors import InvalidInputError
from understudy.domain.identities import (
    Identities,
    Identity,
    document_of,
    identities_from_document,
)
from understudy.runtime.secret_files import read_secret
from understudy.runtime.written_files import writing

_OURS_ALONE = 0o600  # mode of the file


def read_identities(path: Path) -> Identities:
    """Return the identities in a file.

    Raises:
        InvalidInputError: it cannot be read, others may read it, or its content is not acceptable.
    """
    text = read_secret(path, variable="identities")
    try:
        document = json.loads(text)
    except ValueError as error:
        raise InvalidInputError.of("identities", read=str(error), accepted="JSON") from error
    return identities_from_document(document)


def write_identities(path: Path, known: tuple[Identity, ...]) -> None:
    """Replace the file as a whole.

    Raises:
        InvalidInputError: the identities are not acceptable, or the file cannot be written.
    """
    document = document_of(Identities(known))
    identities_from_document(document)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with writing(path, option="--file"):
            with open(unfinished, "x", opener=_ours_alone) as new:
                new.write(f"{json.dumps(document, indent=2)}\n")
                new.flush()
                os.fsync(new.fileno())
            unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _ours_alone(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, _OURS_ALONE)
