"""Digests of the files of an artifact."""

from hashlib import file_digest
from pathlib import Path


def digest_and_size(path: Path) -> tuple[str, int]:
    """Return sha256 and size in bytes of the file at `path`."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest(), file.tell()
