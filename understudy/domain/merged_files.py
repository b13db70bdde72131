"""Log files that a merged one has replaced: it names them, so that no reader counts rows twice."""

import json
from collections.abc import Iterable, Mapping

REPLACES_KEY = b"replaces"  # metadata of a merged file: JSON, the names of the files it replaces

Metadata = Mapping[bytes, bytes]


def replaces(names: Iterable[str]) -> dict[bytes, bytes]:
    """Return the metadata of a file that replaces those with these names in its folder."""
    return {REPLACES_KEY: json.dumps(sorted(names)).encode()}


def replaced_files(stated: Mapping[str, Metadata]) -> frozenset[str]:
    """Return the paths of files that another one replaces; they are in its folder.

    Args:
        stated: metadata by path; a file that cannot be read has none.
    """
    found: set[str] = set()
    for path, metadata in stated.items():
        folder, slash, _ = path.rpartition("/")
        found.update(f"{folder}{slash}{name}" for name in _names(metadata) if "/" not in name)
    return frozenset(found)


def _names(metadata: Metadata) -> Iterable[str]:
    try:
        return map(str, json.loads(metadata.get(REPLACES_KEY, b"[]")))
    except (TypeError, ValueError):
        return ()
