"""The manifest of a backup: the facts by which a copy of a registry is known, and is found whole."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from understudy.domain.canonical import canonical_json, digest_of, exact_integer
from understudy.domain.errors import InvalidInputError

_FORM = "registry_backup/1"
_ACCEPTED = "the manifest of a backup, canonical JSON with its own digest"
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of a member of the archive, by their digest."""

    sha256: str
    size_bytes: int

    def __post_init__(self) -> None:
        if not _DIGEST.fullmatch(self.sha256) or self.size_bytes < 0:
            raise ValueError("a content has a sha256 and 0 or more bytes")


@dataclass(frozen=True, slots=True)
class BackupManifest:
    """The state of a registry in a backup, and the contents of all other members of the archive."""

    schema: int  # of the database
    lineage: str  # in effect
    sequence: int  # of the last row of the audit log; 0 for an empty log
    head: str  # digest of that row, which stands for all rows before it
    made_ns: int  # UTC, since 1970
    tables: Content
    artifacts: tuple[Content, ...]  # in order of their digests, each once

    def __post_init__(self) -> None:
        digests = [each.sha256 for each in self.artifacts]
        if digests != sorted({*digests}):
            raise ValueError("artifacts are in order, each once")

    @property
    def made(self) -> datetime:
        """The time of the backup, to a second."""
        return datetime.fromtimestamp(self.made_ns / 1e9, UTC).replace(microsecond=0)

    @property
    def document(self) -> str:
        """The manifest as text: canonical JSON, with a digest of the rest."""
        content: dict[str, Any] = {
            "schema": self.schema,
            "lineage": self.lineage,
            "sequence": exact_integer(self.sequence),
            "head": self.head,
            "made_ns": str(self.made_ns),
            "tables": _written(self.tables),
            "artifacts": [_written(each) for each in self.artifacts],
        }
        digest = digest_of(_FORM, content)
        return canonical_json({**content, "format": f"understudy/{_FORM}", "digest": digest})


def manifest_from_document(text: str) -> BackupManifest:
    """Return the manifest that `BackupManifest.document` wrote.

    Raises:
        InvalidInputError: the text has another form, or was changed.
    """
    try:
        content = json.loads(text)
        manifest = BackupManifest(
            schema=int(content["schema"]),
            lineage=str(content["lineage"]),
            sequence=int(content["sequence"]),
            head=str(content["head"]),
            made_ns=int(content["made_ns"]),
            tables=_read(content["tables"]),
            artifacts=tuple(_read(each) for each in content["artifacts"]),
        )
        written = manifest.document
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InvalidInputError.of("manifest", read=text, accepted=_ACCEPTED) from error
    if written != text:  # another format, a changed member, or members that we do not read
        raise InvalidInputError.of("manifest", read=text, accepted=_ACCEPTED)
    return manifest


def _written(content: Content) -> dict[str, Any]:
    return {"sha256": content.sha256, "size_bytes": exact_integer(content.size_bytes)}


def _read(content: Mapping[str, Any]) -> Content:
    return Content(str(content["sha256"]), int(content["size_bytes"]))
