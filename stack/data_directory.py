"""The layout of the files of a stack on one machine."""

import os
from dataclasses import dataclass
from pathlib import Path

from understudy.domain.errors import InvalidInputError

EMBEDDED = "lmdb"  # the feature store below the directory itself
_LONGEST_SOCKET_PATH_BYTES = 107  # the kernel's limit
_LONGEST_SOCKET = "router/worker-63.sock"


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """The folders and files below `root`. Deleting `root` deletes the stack."""

    root: Path
    features_store: str = EMBEDDED  # or aerospike://HOST:PORT/NAMESPACE, outside this directory

    @property
    def registry(self) -> Path:
        """Database and artifacts."""
        return self.root / "registry"

    @property
    def features(self) -> Path:
        """The LMDB feature store."""
        return self.root / "features.lmdb"

    @property
    def logs(self) -> Path:
        """Score, shadow and outcome logs, as Parquet."""
        return self.root / "logs"

    @property
    def log_key(self) -> Path:
        """The secret key of the digests of ids in the logs."""
        return self.root / "log-key"

    @property
    def access(self) -> Path:
        """Certificates, tokens and identities of the stack."""
        return self.root / "access"

    @property
    def router(self) -> Path:
        """The last snapshot and the admin sockets."""
        return self.root / "router"

    @property
    def scorers(self) -> Path:
        """The scorer host's artifact cache and sockets."""
        return self.root / "scorers"

    @property
    def process_logs(self) -> Path:
        """The output of the processes, one file each."""
        return self.root / "process-logs"

    @property
    def training(self) -> Path:
        """The demo's training results: feature views, features, an artifact per version."""
        return self.root / "training"

    @property
    def features_url(self) -> str:
        """The store's URL, in the form of `--features` and `--store`."""
        if self.features_store == EMBEDDED:
            return f"lmdb:{self.features}"
        return self.features_store


def checked_directory(root: Path, features_store: str = EMBEDDED) -> DataDirectory:
    """Return the directory at `root`.

    Raises:
        InvalidInputError: `root` is a file, or too long for sockets below it; or the
            feature store is neither the embedded one nor a valid address.
    """
    if features_store != EMBEDDED and not features_store.startswith("aerospike://"):
        raise InvalidInputError.of(
            "--features", read=features_store, accepted="lmdb or aerospike://HOST:PORT/NAMESPACE"
        )
    longest_bytes = _LONGEST_SOCKET_PATH_BYTES - len(_LONGEST_SOCKET) - 1
    if len(os.fsencode(root.resolve())) > longest_bytes:
        raise InvalidInputError.of(
            "--dir",
            read=str(root.resolve()),
            accepted=f"an absolute path of at most {longest_bytes} bytes; sockets are created below it",
        )
    if root.exists() and not root.is_dir():
        raise InvalidInputError.of("--dir", read=str(root), accepted="a folder")
    return DataDirectory(root, features_store)
