"""The file of identities: read whole, replaced whole."""

import json
from pathlib import Path

from understudy.domain.errors import InvalidInputError
from understudy.domain.identities import (
    Identities,
    Identity,
    document_of,
    identities_from_document,
)
from understudy.runtime.secret_files import read_secret, write_secret
from understudy.runtime.written_files import writing


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
    with writing(path, option="--file"):
        write_secret(path, f"{json.dumps(document, indent=2)}\n".encode())
