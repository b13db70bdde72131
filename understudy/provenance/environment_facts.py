"""The training environment: platform, lockfile, versions of packages."""

import os
import platform
import sys
from collections.abc import Sequence
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("numpy", "scikit-learn", "skl2onnx", "onnx", "onnxruntime")
_CPU_ONLY = frozenset({"CPUExecutionProvider", "AzureExecutionProvider"})


def environment_facts(
    lockfile: Path | None, *, converter: str = "skl2onnx", packages: Sequence[str] = PACKAGES
) -> dict[str, Any]:
    """Return the `environment` group, without anything that is not installed or does not exist."""
    versions = {name: found for name in packages if (found := installed(name)) is not None}
    return {
        "lockfile_sha256": _digest(lockfile),
        "image_digest": None,
        "python": platform.python_version(),
        "os": platform.platform(),
        "cpu": f"{platform.machine()}, {os.cpu_count()} cores",
        "gpu": _gpu(),
        "onnxruntime": versions.get("onnxruntime", ""),
        "converter": {"name": converter, "version": versions.get(converter, "")},
        "packages": versions,
    }


def installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _digest(lockfile: Path | None) -> str | None:
    if lockfile is None or not lockfile.is_file():
        return None
    return sha256(lockfile.read_bytes()).hexdigest()


def _gpu() -> str:
    # Only devices that ONNX Runtime could use count, and only if the caller has loaded it.
    runtime = sys.modules.get("onnxruntime")
    providers = set(runtime.get_available_providers()) if runtime else set()
    others = sorted(providers - _CPU_ONLY)
    return ", ".join(others) if others else "no GPU"
