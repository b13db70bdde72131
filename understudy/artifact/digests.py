"""Digests of the files of an artifact."""

from hashlib import file_digest
from pathlib import Path

# The property of ModelMetadataResponse in the Open Inference Protocol by which a scorer reports the
# digest of the loaded artifact.
LOADED_DIGEST_PROPERTY = "artifact_digest"

# The same digest in the initial metadata of each ModelStreamInfer: of the process that reads this stream,
# which may be another one than the process that was asked at the same address before.
LOADED_DIGEST_KEY = "understudy-artifact-digest"


def digest_and_size(path: Path) -> tuple[str, int]:
    """Return sha256 and size in bytes of the file at `path`."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest(), file.tell()
