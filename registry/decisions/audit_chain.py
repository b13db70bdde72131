"""The audit log as a hash chain: each row's digest covers the row and the digest before it."""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.canonical import digest_of

GENESIS = "0" * 64  # the digest before the first row


@dataclass(frozen=True, slots=True)
class AuditRow:
    sequence: int  # 1, 2, 3 … without gaps
    at_ns: int  # UTC, nanoseconds since 1970
    actor: str
    action: str
    model: str
    reason: str
    from_revision: int  # 0: none
    to_revision: int  # 0: none
    details_json: str  # canonical JSON
    previous_digest: str

    @property
    def digest(self) -> str:
        return digest_of(
            [
                self.sequence,
                self.at_ns,
                self.actor,
                self.action,
                self.model,
                self.reason,
                self.from_revision,
                self.to_revision,
                self.details_json,
                self.previous_digest,
            ]
        )


@dataclass(frozen=True, slots=True)
class RecordedRow:
    """A row and the digest that was written beside it."""

    row: AuditRow
    digest: str


def first_break(recorded: Sequence[RecordedRow]) -> int | None:
    """Return the sequence number at which the chain is broken, or None when it is intact.

    Args:
        recorded: the whole log, in order of sequence.
    """
    previous = GENESIS
    for expected, entry in enumerate(recorded, start=1):
        linked = entry.row.sequence == expected and entry.row.previous_digest == previous
        if not linked or entry.row.digest != entry.digest:
            return expected
        previous = entry.digest
    return None
