"""The head of the audit log: the last rows of its chains, which stand for all rows before them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from understudy.domain.canonical import canonical_document, exact_integer
from understudy.domain.errors import InvalidInputError

_FORM = "audit_head/2"
_ACCEPTED = "a head of an audit log, canonical JSON"


@dataclass(frozen=True, slots=True)
class AuditHead:
    """The state of a registry's log, and of its chain of refused attempts, at a time.

    A head that is kept elsewhere shows later which rows were cut off or rewritten.
    """

    lineage: str  # of the registry at that time
    sequence: int  # of the last row; 0 for an empty log
    digest: str  # of the last row; the digest that the first row will continue, for an empty log
    refusals: int  # number of the last refused attempts on record; 0 for none
    refusals_digest: str  # of that row, or the digest that the first one will continue
    at_ns: int  # UTC, since 1970

    @property
    def document(self) -> str:
        """The text that is signed: canonical JSON."""
        content = {
            "lineage": self.lineage,
            "sequence": exact_integer(self.sequence),
            "digest": self.digest,
            "refusals": exact_integer(self.refusals),
            "refusals_digest": self.refusals_digest,
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
            refusals=int(content["refusals"]),
            refusals_digest=content["refusals_digest"],
            at_ns=int(content["at_ns"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInputError.of("head", read=text, accepted=_ACCEPTED) from error
    if head.document != text:  # another format, or members that we do not read
        raise InvalidInputError.of("head", read=text, accepted=_ACCEPTED)
    return head


def head_faults(
    heads: Sequence[AuditHead],
    log: Mapping[int, str],
    refusals: Mapping[int, str],
    genesis: str,
) -> Iterator[str]:
    """Yield a fault for each chain of each head that the registry's does not continue.

    Args:
        heads: verified heads of the same registry.
        log: digests of all rows of the log by number; its chain is verified apart.
        refusals: likewise of refused attempts.
        genesis: the digest that the first row of each chain continues.
    """
    for head in heads:
        yield from _chain_faults(
            f"{head} has", "log", (head.sequence, head.digest), {0: genesis, **log}
        )
        kept = head.refusals, head.refusals_digest
        named = "record of refused attempts"
        yield from _chain_faults(f"{head} has", named, kept, {0: genesis, **refusals})


def _chain_faults(
    head: str, chain: str, kept: tuple[int, str], digests: Mapping[int, str]
) -> Iterator[str]:
    number, digest = kept
    found = digests.get(number)
    if found is None:
        last = len(digests) - 1  # of a chain without gaps, which is verified apart
        yield f"{head} row {number}; the {chain} ends at row {last}: its tail was cut off"
    elif found != digest:
        yield f"{head} another digest of row {number}: the {chain} was rewritten up to there"
