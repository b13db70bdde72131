"""Limits of this process: CPUs by cgroup and affinity, memory by its own limit."""

import os
import resource
from pathlib import Path

from scorer.decisions.cpu_quota import quota_cpus, quota_files
from scorer.machine.affinity import allowed_cpus

_CGROUPS = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")


def cgroup_cpus(allowed: int | None = None, *, root: Path = _CGROUPS, own: Path = _OWN) -> int:
    """Return whole CPUs, at least 1: the minimum of affinity and the quotas of our cgroups.

    Args:
        allowed: CPUs by affinity, if they differ from this process's own.
        root: the mount point of cgroups.
        own: the file that lists our cgroups.
    """
    allowed = allowed or len(allowed_cpus()) or os.cpu_count() or 1
    quotas = (
        quota_cpus([_read(root / path) for path in paths]) for paths in quota_files(_read(own))
    )
    return max(1, min([allowed, *(int(quota) for quota in quotas if quota is not None)]))


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, ValueError):
        return ""


def limit_memory(limit_mb: int) -> None:
    """Make allocations beyond `limit_mb` of address space fail, instead of a kill by the kernel."""
    limit_bytes = limit_mb * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, limit_bytes))
