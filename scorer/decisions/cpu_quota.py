"""The number of CPUs that the cgroups grant a process, from the content of their files. Pure."""

from collections.abc import Iterator, Sequence

_NO_LIMIT = ("max", "-1")


def quota_files(own: str) -> tuple[tuple[str, ...], ...]:
    """Return the files that may limit a process, relative to the mount point of cgroups.

    Each entry is one file with quota and period (version 2), or one file for each (version 1). A
    limit on any level applies, from the process's own cgroup up to the root.

    Args:
        own: the content of /proc/self/cgroup.
    """
    version_2, version_1 = "/", [("cpu", "/")]
    for line in own.splitlines():
        controllers, _, path = line.partition(":")[2].partition(":")
        if not controllers:
            version_2 = path
        elif "cpu" in controllers.split(","):
            version_1 = [("cpu", path), (controllers, path)]
    files: list[tuple[str, ...]] = [(f"{folder}cpu.max",) for folder in _folders(version_2)]
    files += [
        (f"{mount}/{folder}cpu.cfs_quota_us", f"{mount}/{folder}cpu.cfs_period_us")
        for mount, path in version_1
        for folder in _folders(path)
    ]
    return tuple(dict.fromkeys(files))


def quota_cpus(contents: Sequence[str]) -> float | None:
    """Return the CPUs of one entry of `quota_files`; None if there is no readable limit.

    Args:
        contents: of its files; "" for a file that does not exist.
    """
    words = " ".join(contents).split()
    if len(words) != 2 or words[0] in _NO_LIMIT:  # noqa: PLR2004 - quota and period
        return None
    try:
        quota_us, period_us = int(words[0]), int(words[1])
    except ValueError:
        return None
    return quota_us / period_us if quota_us > 0 and period_us > 0 else None


def _folders(path: str) -> Iterator[str]:
    """Yield the folders of a cgroup's path up to the root, ""; only the root if out of our view."""
    parts = [part for part in path.split("/") if part]
    if ".." not in parts:
        for depth in range(len(parts), 0, -1):
            yield "/".join(parts[:depth]) + "/"
    yield ""
