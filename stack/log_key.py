"""The key of the ids in a stack's logs: made at the first start, and kept."""

import secrets
from collections.abc import Mapping
from pathlib import Path

from understudy.runtime.secret_files import write_secret

_KEY_BYTES = 32
_DECIDED_BY = ("ROUTER_LOG_KEY", "ROUTER_LOG_KEY_FILE", "ROUTER_LOG_IDS")


def log_key_environment(path: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the router's variables for the key in `path`, which is made if there is none.

    Empty if `environment`, which the router inherits, decides about the ids already.
    """
    if any(name in environment for name in _DECIDED_BY):
        return {}
    if not path.exists():
        write_secret(path, f"{secrets.token_hex(_KEY_BYTES)}\n".encode())
    return {"ROUTER_LOG_KEY_FILE": str(path.resolve())}
