"""The audit log as a hash chain: each row's digest covers the row and the preceding digest."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from understudy.domain.canonical import digest_of, exact_integer

ROW_FORM = "audit_row/2"  # of rows that this registry writes
_PREFIX = "understudy/"


@dataclass(frozen=True, slots=True)
class AuditRow:
    sequence: int  # 1, 2, 3 … without gaps
    at_ns: int  # UTC, nanoseconds since 1970
    actor: str
    proof: str  # a `Proof`: the ground on which the actor's name was believed
    peer: str  # machine of the actor, in gRPC's form
    on_behalf_of: str  # as the actor stated; empty for none
    action: str  # an `Action`, unless the row was written outside the registry
    model: str
    reason: str
    from_revision: int  # 0 for none
    to_revision: int  # 0 for none
    details_json: str  # canonical JSON
    previous_digest: str  # of the registry's first lineage in the first row
    format: str = f"{_PREFIX}{ROW_FORM}"  # the kind and version of this layout

    @property
    def digest(self) -> str:
        """The digest of the row.

        Raises:
            ValueError: the row has another layout, whose digest is computed another way.
        """
        if self.format != f"{_PREFIX}{ROW_FORM}":
            raise ValueError(f"format: read {self.format}; accepted: {_PREFIX}{ROW_FORM}")
        content = {**asdict(self), "at_ns": str(self.at_ns)}
        for name in ("sequence", "from_revision", "to_revision"):
            content[name] = exact_integer(content[name])
        return digest_of(ROW_FORM, content)


@dataclass(frozen=True, slots=True)
class RecordedRow:
    """A row and its stored digest."""

    row: AuditRow
    digest: str


def concerns(row: AuditRow, model: str) -> bool:
    """Return whether the row belongs to a model's view; one without a model belongs to every view."""
    return row.model in {"", model}


def first_break(recorded: Sequence[RecordedRow], genesis: str) -> int | None:
    """Return the sequence number at which the chain is broken, or None if it is intact.

    Args:
        recorded: the whole log, in order of sequence.
        genesis: the digest that the first row continues: that of the registry's first lineage.
    """
    previous = genesis
    for expected, entry in enumerate(recorded, start=1):
        linked = entry.row.sequence == expected and entry.row.previous_digest == previous
        if not linked or not _is_digest_of(entry):
            return expected
        previous = entry.digest
    return None


def _is_digest_of(entry: RecordedRow) -> bool:
    try:
        return entry.row.digest == entry.digest
    except (ValueError, TypeError):  # a value that no registry writes, e.g. bytes
        return False
