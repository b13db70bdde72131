"""The head of the audit log: its last row, which stands for all rows before it."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from registry.decisions.audit_chain import RecordedRow
from understudy.domain.canonical import canonical_document, exact_integer
from understudy.domain.errors import InvalidInputError

_FORM = "audit_head/1"
_ACCEPTED = "a head of an audit log, canonical JSON"


@dataclass(frozen=True, slots=True)
class AuditHead:
    """The state of a log at a time. A head that is kept elsewhere shows later what was cut or rewritten."""

    lineage: str  # of the registry at that time
    sequence: int  # of the last row; 0 for an empty log
    digest: str  # of the last row; the digest that the first row will continue, for an empty log
    at_ns: int  # UTC, since 1970

    @property
    def document(self) -> str:
        """The text that is signed: canonical JSON."""
        content = {
            "lineage": self.lineage,
            "sequence": exact_integer(self.sequence),
            "digest": self.digest,
            "at_ns": str(self.at_ns),
        }
        return canonical_document(_FORM, content)

    def __str__(self) -> str:
        at = datetime.fromtimestamp(self.at_ns / 1e9, UTC).replace(microsecond=0)
        return f"the head of {at:%Y-%m-%d %H:%M:%S} UTC"


def head_from_document(text: str) -> AuditHead:
    """Return the head that `AuditHead.document` wrote.

    Raises:
        InvalidInputError: the text has another form.
    """
    try:
        content = json.loads(text)
        head = AuditHead(
            lineage=content["lineage"],
            sequence=int(content["sequence"]),
            digest=content["digest"],
            at_ns=int(content["at_ns"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInputError.of("head", read=text, accepted=_ACCEPTED) from error
    if head.document != text:  # another format, or members that we do not read
        raise InvalidInputError.of("head", read=text, accepted=_ACCEPTED)
    return head


def head_faults(
    heads: Sequence[AuditHead], recorded: Sequence[RecordedRow], genesis: str
) -> Iterator[str]:
    """Yield a fault for each head that the log does not continue.

    Args:
        heads: verified heads of the same registry.
        recorded: the whole log, whose chain is verified apart.
        genesis: the digest that its first row continues.
    """
    digests = {entry.row.sequence: entry.digest for entry in recorded} | {0: genesis}
    for head in heads:
        found = digests.get(head.sequence)
        if found is None:
            yield (
                f"{head} has row {head.sequence}; the log ends at row {max(digests)}: "
                "its tail was cut off"
            )
        elif found != head.digest:
            yield (
                f"{head} has another digest of row {head.sequence}: "
                "the log was rewritten up to there"
            )
