"""Identification of the training code: a commit of a clean checkout, or a digest of files."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from understudy.domain.canonical import canonical_json, digest_of_text

_GIT_TIMEOUT_S = 20.0
_STATUS_CHARACTERS = 3  # "XY " before the name of a file
_MOST_NAMED = 20
_LEFT_OUT = frozenset({"__pycache__", ".pyc", ".pyo"})


@dataclass(frozen=True, slots=True)
class InstalledCode:
    """The distribution that trains, and its import packages to hash."""

    distribution: str  # e.g. "understudy-serving"
    modules: tuple[str, ...]  # import names, e.g. ("stack", "understudy")


def code_source(directory: Path, installed: InstalledCode | None = None) -> dict[str, Any]:
    """Return the `code.source` of a record, as far as it is known.

    1. If `directory` is in a git checkout without changes: repository and commit.
    2. Otherwise, if `installed` is given: name, version and a digest over its source files, which
       identifies exactly the code that ran although there is no commit.
    3. Otherwise the state in git, `dirty: true` or no checkout, which the gate will refuse.
    """
    git = _git_source(directory)
    if git.get("dirty") is False:
        return git
    if installed is not None:
        return package_source(installed.distribution, installed.modules)
    return git


def package_source(distribution: str, modules: Sequence[str]) -> dict[str, Any]:
    """Return name, version and digest of installed code: over path and sha256 of each file.

    The files of the import packages are read and not the distribution's RECORD, because the
    RECORD of an editable installation names none of them.
    """
    try:
        found_version = version(distribution)
    except PackageNotFoundError:
        return {"kind": "package", "name": distribution, "version": "", "sha256": "", "files": 0}
    entries = [entry for module in sorted(modules) for entry in _entries(module)]
    return {
        "kind": "package",
        "name": distribution,
        "version": found_version,
        "sha256": digest_of_text(canonical_json(entries)),
        "files": len(entries),
    }


def _entries(module: str) -> list[list[str]]:
    spec = find_spec(module)
    roots = [] if spec is None else [Path(each) for each in spec.submodule_search_locations or ()]
    files = {
        path.relative_to(root).as_posix(): path
        for root in reversed(roots)  # of a namespace package, where the first one wins
        for path in root.rglob("*")
        if path.is_file() and not _LEFT_OUT & {*path.parts, path.suffix}
    }
    return [
        [f"{module}/{name}", sha256(path.read_bytes()).hexdigest()]
        for name, path in sorted(files.items())
    ]


def _git_source(directory: Path) -> dict[str, Any]:
    commit = _git(directory, "rev-parse", "HEAD")
    # A virtual environment may be inside an unrelated checkout, whose commit says nothing.
    if commit is None or not _git(directory, "ls-files", "--", "."):
        # Without a kind: nothing is invented, and the gate names `code.source`.
        return {"why": f"no git checkout with a commit at {directory}"}
    remote = _git(directory, "config", "--get", "remote.origin.url")
    root = _git(directory, "rev-parse", "--show-toplevel")
    changes = _changed_files(directory)
    source = {
        "kind": "git",
        "repository": remote or Path(root or directory).resolve().as_uri(),
        "commit": commit,
        "dirty": changes is None or bool(changes),
    }
    return {**source, "changed_files": changes} if changes else source


def _changed_files(directory: Path) -> list[str] | None:
    """Return the files with changes that are not committed, bounded; None if git does not answer."""
    status = _git(directory, "status", "--porcelain", "-z")
    if status is None:
        return None
    entries = iter(status.split("\0"))
    files: list[str] = []
    for entry in entries:
        if entry:
            files.append(entry[_STATUS_CHARACTERS:])
            if entry[0] in "RC":  # the name before the rename or copy follows
                next(entries, None)
    named = files[:_MOST_NAMED]
    return named if len(files) == len(named) else [*named, f"and {len(files) - len(named)} more"]


def _git(directory: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(directory), *arguments],
            capture_output=True,
            text=True,
            timeout=_GIT_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.rstrip() if done.returncode == 0 else None
