"""A registry's statement about one of its versions, which another registry can verify and import."""

import json
from dataclasses import dataclass
from typing import Any

from understudy.domain.canonical import canonical_document
from understudy.domain.errors import InvalidInputError
from understudy.domain.versions import VersionRef

_FORM = "version_statement/1"
_ACCEPTED = "a registry's statement about a version, canonical JSON"


@dataclass(frozen=True, slots=True)
class VersionStatement:
    """The origin of a version: the registry that registered it first, and by which act."""

    lineage: str  # of that registry
    ref: VersionRef  # there
    content_digest: str  # of everything that acts; equal in every registry
    actor: str  # who registered it there
    at_ns: int  # UTC, since 1970: of that registration

    @property
    def content(self) -> dict[str, Any]:
        """The statement as JSON values."""
        return {
            "lineage": self.lineage,
            "version": str(self.ref),
            "content": self.content_digest,
            "actor": self.actor,
            "at_ns": str(self.at_ns),
        }

    @property
    def document(self) -> str:
        """The text that is signed: canonical JSON."""
        return canonical_document(_FORM, self.content)


def statement_from_content(content: Any) -> VersionStatement:
    """Return the statement with this content.

    Raises:
        ValueError, KeyError, TypeError, InvalidInputError: it is another content.
    """
    return VersionStatement(
        lineage=content["lineage"],
        ref=VersionRef.parse(content["version"]),
        content_digest=content["content"],
        actor=content["actor"],
        at_ns=int(content["at_ns"]),
    )


def statement_from_document(text: str) -> VersionStatement:
    """Return the statement that `VersionStatement.document` wrote.

    Raises:
        InvalidInputError: the text has another form.
    """
    try:
        statement = statement_from_content(json.loads(text))
    except (ValueError, KeyError, TypeError, InvalidInputError) as error:
        raise InvalidInputError.of("statement", read=text, accepted=_ACCEPTED) from error
    if statement.document != text:  # another format, or members that we do not read
        raise InvalidInputError.of("statement", read=text, accepted=_ACCEPTED)
    return statement
