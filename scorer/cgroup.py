"""What this process may use: CPUs by the cgroup and affinity, memory by a limit of its own."""

import os
import resource
from pathlib import Path

from scorer.affinity import allowed_cpus

_CGROUP = Path("/sys/fs/cgroup")


def cgroup_cpus(allowed: int | None = None, *, root: Path = _CGROUP) -> int:
    """Return whole CPUs, at least 1: the smaller of quota and affinity.

    Args:
        allowed: CPUs by affinity, where it is known better than from ours.
        root: of the cgroup.
    """
    allowed = allowed or len(allowed_cpus()) or os.cpu_count()
    quota = _quota_cpus(root)
    return max(1, min(allowed or 1, int(quota) if quota is not None else allowed or 1))


def _quota_cpus(root: Path) -> float | None:
    try:
        quota, period = (root / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        pass
    try:  # cgroup v1
        quota_us = int((root / "cpu" / "cpu.cfs_quota_us").read_text())
        period_us = int((root / "cpu" / "cpu.cfs_period_us").read_text())
    except (OSError, ValueError):
        return None
    return quota_us / period_us if quota_us > 0 else None


def limit_memory(limit_mb: int) -> None:
    """Let allocations beyond `limit_mb` of address space fail, where the kernel would kill."""
    limit_bytes = limit_mb * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, limit_bytes))
