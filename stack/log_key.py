"""The key of the ids in a stack's logs: made at the first start, and kept."""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

_KEY_BYTES = 32
_DECIDED_BY = ("ROUTER_LOG_KEY", "ROUTER_LOG_KEY_FILE", "ROUTER_LOG_IDS")


def log_key_environment(path: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the router's variables for the key in `path`, which is made if there is none.

    Empty if `environment`, which the router inherits, decides about the ids already.
    """
    if any(name in environment for name in _DECIDED_BY):
        return {}
    if not path.exists():
        _make(path)
    return {"ROUTER_LOG_KEY_FILE": str(path.resolve())}


def _make(path: Path) -> None:
    # Complete under its name or not at all: a key that is cut off would still be taken.
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(_KEY_BYTES) + "\n")
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)
