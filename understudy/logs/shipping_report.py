"""The state of shipping, as the shipping process last wrote it for the workers of its router."""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from uuid import uuid4

_NAME = "log-shipping.json"
_MOST_BYTES = 64 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ShippingReport:
    """Counts of one pass, and of the process since its start."""

    target: str
    at_s: float  # UTC, the end of the pass
    waiting_files: int = 0  # finished, and not known to be in the store
    waiting_bytes: int = 0
    oldest_waiting_s: float = 0.0  # the age of the oldest of them
    local_bytes: int = 0  # of all files below the log directory
    shipped_files: int = 0  # since the process started, as all of the following
    shipped_bytes: int = 0
    removed_files: int = 0
    faults: int = 0  # passes that the store or the disk cut short
    trouble: str = ""  # of the last pass; empty: none


def write_report(state_dir: Path, report: ShippingReport) -> None:
    """Replace the report in a router's state directory.

    Raises:
        OSError: it cannot be written.
    """
    path = state_dir / _NAME
    partial = path.with_suffix(f".{uuid4().hex[:8]}")
    try:
        partial.write_text(json.dumps(asdict(report)))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def read_report(state_dir: Path) -> ShippingReport | None:
    """Return the last report; None if there is none that can be read."""
    try:
        with (state_dir / _NAME).open("rb") as file:
            content = json.loads(file.read(_MOST_BYTES))
        known = {each.name: content[each.name] for each in fields(ShippingReport)}
        return ShippingReport(**known)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def forget_report(state_dir: Path) -> None:
    """Remove the report of an earlier process.

    Raises:
        OSError: it cannot be removed.
    """
    state_dir.mkdir(parents=True, exist_ok=True)
    (state_dir / _NAME).unlink(missing_ok=True)
