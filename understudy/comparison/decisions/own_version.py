"""The choice among the pairs of versions in a log, and A/A tests, which show noise. Pure."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol, TypeVar

from understudy.domain.errors import InconclusiveError, InvalidInputError


class NoiseKind(StrEnum):
    """The differences of a version from itself, by the part in which it was beside itself."""

    RUNTIME = "noise of batching and runtime"  # a shadow: the same rows in other batches
    ASSIGNMENT = "noise of assignment"  # an arm: other units


class Pair(Protocol):
    """A version and the champion that it is compared with."""

    @property
    def versions(self) -> tuple[int, int]: ...


class LoggedPair(Pair, Protocol):
    """The same, with its rows in the log."""

    @property
    def rows(self) -> int: ...

    @property
    def last_at(self) -> datetime: ...


PairT = TypeVar("PairT", bound=Pair)
LoggedPairT = TypeVar("LoggedPairT", bound=LoggedPair)


def is_own(pair: Pair) -> bool:
    """Return whether the pair is an A/A test."""
    version, champion = pair.versions
    return version == champion


def the_only(
    pairs: Sequence[LoggedPairT],
    named: int | None,
    *,
    option: str,
    field: str,
    members: str,
    absent: str,
) -> LoggedPairT:
    """Return the only pair that fits; an A/A test fits only if its version is named.

    Args:
        pairs: those in the log.
        named: the version that was asked for.
        option: of the command, that names a version.
        field: name of the pair, in errors.
        members: name of its two members.
        absent: says that none fits.

    Raises:
        InconclusiveError: none fits.
        InvalidInputError: several do; the question must name one.
    """
    found = _candidates(pairs, named)
    if not found:
        raise InconclusiveError(f"{absent}{_own_only(pairs, option)}")
    if len(found) > 1:
        listed = "; ".join(
            f"{option} {each.versions[0]} --champion {each.versions[1]} "
            f"({each.rows} rows, the last at {each.last_at:%Y-%m-%d %H:%M})"
            for each in found
        )
        raise InvalidInputError.of(
            field, read=f"{len(found)} pairs of {members} that fit", accepted=f"one of {listed}"
        )
    return found[0]


def _candidates(pairs: Sequence[PairT], named: int | None) -> tuple[PairT, ...]:
    """Return the pairs of which one is to be compared: an A/A test only if its version is named."""
    return tuple(pair for pair in pairs if named is not None or not is_own(pair))


def _own_only(pairs: Sequence[Pair], option: str) -> str:
    """Return the hint at A/A tests that were not named; "" without any."""
    own = sorted({pair.versions[0] for pair in pairs if is_own(pair)})
    named = ", ".join(f"{option} {number} --champion {number}" for number in own)
    return f"; A/A tests must be named: {named}" if own else ""


def statement_of(pair: Pair, kind: NoiseKind) -> tuple[str, ...]:
    """Return the sentence that says which noise an A/A test shows; () for two versions."""
    if not is_own(pair):
        return ()
    number, _ = pair.versions
    return (f"A/A: version {number} beside itself; differences are {kind.value}, not of models",)
