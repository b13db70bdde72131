"""Digests of the files of an artifact."""

from hashlib import file_digest
from pathlib import Path

# How a scorer tells the digest of what it loaded, in the words of the Open Inference Protocol: a
# property of ModelMetadataResponse.
LOADED_DIGEST_PROPERTY = "artifact_digest"


def digest_and_size(path: Path) -> tuple[str, int]:
    """Return sha256 and size in bytes of the file at `path`."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest(), file.tell()
