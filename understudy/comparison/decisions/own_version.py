"""A/A tests among the pairs of versions in a log: a version beside itself, which shows noise. Pure."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol, TypeVar


class NoiseKind(StrEnum):
    """The differences of a version from itself, by the part in which it was beside itself."""

    RUNTIME = "noise of batching and runtime"  # a shadow: the same rows in other batches
    ASSIGNMENT = "noise of assignment"  # an arm: other units


class Pair(Protocol):
    """A version and the champion that it is compared with."""

    @property
    def versions(self) -> tuple[int, int]: ...


PairT = TypeVar("PairT", bound=Pair)


def is_own(pair: Pair) -> bool:
    """Return whether the pair is an A/A test."""
    version, champion = pair.versions
    return version == champion


def candidates(pairs: Sequence[PairT], named: int | None) -> tuple[PairT, ...]:
    """Return the pairs of which one is to be compared: an A/A test only if its version is named."""
    return tuple(pair for pair in pairs if named is not None or not is_own(pair))


def own_only(pairs: Sequence[Pair], option: str) -> str:
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
