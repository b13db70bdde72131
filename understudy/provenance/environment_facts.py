"""The training environment: platform, lockfile, the converter, versions of imported packages."""

import os
import platform
import sys
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import Any

from understudy.provenance.producer import UNNAMED, package_of_producer, version_in

_CPU_ONLY = frozenset({"CPUExecutionProvider", "AzureExecutionProvider"})
_ALWAYS = ("numpy", "onnx", "onnxruntime")  # they take part in each conversion and check


def environment_facts(
    lockfile: Path | None, *, producer: str = UNNAMED, producer_version: str = UNNAMED
) -> dict[str, Any]:
    """Return the `environment` group, without anything that is not installed or does not exist.

    Args:
        lockfile: of the training environment.
        producer: name of the program that wrote the model, from its file.
        producer_version: version of that program, from the same file.
    """
    package = package_of_producer(producer)
    versions = imported_packages()
    versions |= {name: found for name in _ALWAYS if (found := installed(name)) is not None}
    converter_version = version_in(producer_version) or versions.get(package, "")
    if producer != UNNAMED and converter_version not in {"", UNNAMED}:
        versions[package] = converter_version  # which wrote the file, whatever is installed now
    return {
        "lockfile_sha256": _digest(lockfile),
        "image_digest": None,
        "python": platform.python_version(),
        "os": platform.platform(),
        "cpu": f"{platform.machine()}, {os.cpu_count()} cores",
        "gpu": _gpu(),
        "onnxruntime": versions.get("onnxruntime", ""),
        "converter": {"name": producer, "version": converter_version},
        "packages": dict(sorted(versions.items())),
    }


def imported_packages() -> dict[str, str]:
    """Return the version of each distribution of which a module has been imported."""
    of_module = packages_distributions()
    roots = {name.partition(".")[0] for name in tuple(sys.modules)}
    names = {name for root in roots for name in of_module.get(root, ())}
    found = {name: installed(name) for name in names}
    return {name: each for name, each in found.items() if each is not None}


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
