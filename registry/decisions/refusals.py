"""Refused attempts: folded by minute and kind, bounded in number, in a hash chain of their own. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType

from understudy.domain.canonical import digest_of, exact_integer

MINUTE_NS = 60_000_000_000
MOST_KINDS = 64  # of attempts in one minute; the rest is counted together
MOST_MINUTES = 60  # that are kept while the database takes nothing
_FORM = "refusal_row/1"


@dataclass(frozen=True, slots=True)
class Attempt:
    """A kind of refused attempt. It has nothing that the refused request contained."""

    actor: str  # proven, or claimed where names are believed; empty: no name
    peer: str  # machine of the caller, in gRPC's form
    call: str
    reason: str  # a `FailureKind`


OTHERS = Attempt("", "", "", "more")  # all kinds beyond `MOST_KINDS` of a minute


@dataclass(frozen=True, slots=True)
class Attempts:
    """Counts of refused attempts that are not written yet, by minute and kind."""

    counts: Mapping[tuple[int, Attempt], int] = field(default_factory=lambda: MappingProxyType({}))

    def with_one(self, attempt: Attempt, now_ns: int) -> "Attempts":
        """Return the counts after one more attempt at a time, in ns since 1970."""
        minute_ns = now_ns - now_ns % MINUTE_NS
        key = minute_ns, attempt
        kinds = sum(minute == minute_ns for minute, _ in self.counts)
        if key not in self.counts and kinds >= MOST_KINDS:
            key = minute_ns, OTHERS
        return replace(self, counts={**self.counts, key: self.counts.get(key, 0) + 1})

    def cut(self) -> "Attempts":
        """Return at most `MOST_MINUTES` minutes of counts, the latest: memory stays bounded."""
        minutes = sorted({minute for minute, _ in self.counts})[-MOST_MINUTES:]
        return replace(self, counts={k: n for k, n in self.counts.items() if k[0] in minutes})

    def joined(self, other: "Attempts") -> "Attempts":
        """Return the counts of both; they may hold more kinds than one minute admits."""
        keys = dict.fromkeys((*self.counts, *other.counts))
        both = {key: self.counts.get(key, 0) + other.counts.get(key, 0) for key in keys}
        return replace(self, counts=both)


@dataclass(frozen=True, slots=True)
class RefusalRow:
    """The refused attempts of one kind in one minute."""

    sequence: int  # 1, 2, 3 … without gaps
    minute_ns: int  # its begin, UTC, since 1970
    actor: str
    peer: str
    call: str
    reason: str
    attempts: int
    previous_digest: str  # of the registry's first lineage in the first row

    @property
    def digest(self) -> str:
        content = {**asdict(self), "minute_ns": str(self.minute_ns)}
        for name in ("sequence", "attempts"):
            content[name] = exact_integer(content[name])
        return digest_of(_FORM, content)


def rows_after(last: tuple[int, str], attempts: Attempts) -> list[RefusalRow]:
    """Return the rows of the counts, in order of minute and kind.

    Args:
        last: number and digest of the last row; of an empty chain, 0 and the digest that it continues.
        attempts: the counts.
    """
    sequence, digest = last
    rows: list[RefusalRow] = []
    for (minute_ns, kind), count in sorted(attempts.counts.items(), key=str):
        sequence += 1
        row = RefusalRow(
            sequence, minute_ns, kind.actor, kind.peer, kind.call, kind.reason, count, digest
        )
        rows.append(row)
        digest = row.digest
    return rows


def first_broken(rows: Sequence[tuple[RefusalRow, str]], genesis: str) -> int | None:
    """Return the number at which the chain of rows, each with its stored digest, breaks; None if intact."""
    previous = genesis
    for expected, (row, digest) in enumerate(rows, start=1):
        if (row.sequence, row.previous_digest) != (expected, previous) or row.digest != digest:
            return expected
        previous = digest
    return None
