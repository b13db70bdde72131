"""The errors that we raise on purpose: facts are attributes, the text says what happened.

The class decides who should retry: `understudy.runtime.grpc_errors` maps each to a gRPC status.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Self

MOST_FAULTS = 20  # in one answer; the search for more ends there


class UnderstudyError(Exception):
    """The base of all errors that we raise on purpose. Its text may be shown to callers."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A single fault in an input."""

    field: str  # path, e.g. "models[2].sha256"
    read: str  # the value that was found
    accepted: str  # the values that would be accepted

    @classmethod
    def of(cls, field: str, *, read: object, accepted: str) -> "Fault":
        return cls(field, _shown(read), accepted)

    def cut(self) -> "Fault":
        """Return the fault with texts that are short enough for an answer."""
        return Fault(
            _cut(self.field),
            _cut(self.read, _LONG_CHARACTERS),
            _cut(self.accepted, _LONG_CHARACTERS),
        )

    def __str__(self) -> str:
        cut = self.cut()
        return f"{cut.field}: read {cut.read}; accepted: {cut.accepted}"


def repeats(field: str, keys: Iterable[object]) -> Iterator[Fault]:
    """Yield a fault of `field` for each key that stands in it already."""
    seen: set[object] = set()
    for key in keys:
        if key in seen:
            yield Fault(field, f"{key} twice", "each at most once")
        seen.add(key)


class InvalidInputError(UnderstudyError):
    """The caller must change the input; a retry cannot help. Carries all faults at once.

    The text is bounded, whatever the input was, because it may be sent back to the caller.
    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        shown = [str(fault) for fault in faults[:MOST_FAULTS]]
        if len(faults) > MOST_FAULTS:
            shown.append(f"and {len(faults) - MOST_FAULTS} more")
        super().__init__("; ".join(shown))
        self.faults = tuple(faults)

    @classmethod
    def of(cls, field: str, *, read: object, accepted: str) -> "InvalidInputError":
        return cls([Fault.of(field, read=read, accepted=accepted)])

    @classmethod
    def answered(cls, text: str) -> Self:
        """Return the error that another process reported as `text`."""
        error = cls(_faults_in(text))
        error.args = (text,)
        return error


def raise_any(found: Iterable[Fault]) -> None:
    """Raise the faults that `found` yields; the search for more ends at the 20th.

    An input of millions of values must not cost as many searches, and a caller reads the first ones.

    Raises:
        InvalidInputError: there is a fault.
    """
    if faults := list(islice(found, MOST_FAULTS)):
        raise InvalidInputError(faults)


class NotFoundError(UnderstudyError):
    """The named object does not exist."""

    def __init__(self, kind: str, name: object) -> None:
        super().__init__(f"{kind} {_cut(str(name), _LONG_CHARACTERS)} does not exist")
        self.kind = kind
        self.name = str(name)

    @classmethod
    def answered(cls, text: str) -> Self:
        """Return the error that another process reported as `text`."""
        error = cls("", "")
        error.args = (text,)
        return error


class ConflictError(UnderstudyError):
    """Another writer changed the state first; read it again before deciding."""


class RefusedError(UnderstudyError):
    """The state does not allow this operation; something else must happen first."""


class PermissionRefusedError(UnderstudyError):
    """The caller is known, but lacks the permission."""


class UnauthenticatedError(UnderstudyError):
    """The caller proves no name that is known."""


class OverloadedError(UnderstudyError):
    """A bounded queue is full; do not retry before `retry_after_ms`."""

    def __init__(self, what: str, *, retry_after_ms: int) -> None:
        super().__init__(f"{what} is full; retry after {retry_after_ms} ms")
        self.what = what
        self.retry_after_ms = retry_after_ms


class DeadlinePassedError(UnderstudyError):
    """The caller's deadline passed before the work was done, so it was not done."""

    def __init__(self, stage: str) -> None:
        super().__init__(f"deadline passed before {stage}")
        self.stage = stage


class UnavailableError(UnderstudyError):
    """A dependency did not answer; a retry may help."""

    def __init__(self, dependency: str, why: str) -> None:
        super().__init__(f"{dependency} is unavailable: {why}")
        self.dependency = dependency
        self.why = why


class LaggingError(UnavailableError):
    """A change was made and stays made, but it is not in effect everywhere in time."""

    def __init__(self, subject: str, *, waited_s: float, lagging: Sequence[str]) -> None:
        listed = "; ".join(lagging)
        super().__init__(subject, listed)
        self.args = (f"{subject} was made, but is not in effect after {waited_s:.0f} s: {listed}",)
        self.lagging = tuple(lagging)


class CorruptedError(UnderstudyError):
    """The bytes do not match their digest. Nothing was done with them."""


class CheckFailedError(UnderstudyError):
    """A check was completed and found faults."""

    def __init__(self, message: str, faults: Sequence[Fault] = ()) -> None:
        super().__init__(message)
        self.faults = tuple(faults)


class InconclusiveError(UnderstudyError):
    """There is too little data to decide; more data may help."""


class AnsweredError(UnderstudyError):
    """Another process failed without a more specific status; the text is its own."""


class FailureKind(StrEnum):
    """The kind of a call's failure, in counts and metrics: the class of its error."""

    INVALID_INPUT = "invalid_input"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    REFUSED = "refused"
    PERMISSION_REFUSED = "permission_refused"
    UNAUTHENTICATED = "unauthenticated"
    OVERLOADED = "overloaded"
    DEADLINE_PASSED = "deadline_passed"
    UNAVAILABLE = "unavailable"
    CORRUPTED = "corrupted"
    INTERNAL = "internal"  # not raised on purpose: a defect


_KIND_OF: dict[type[BaseException], FailureKind] = {
    InvalidInputError: FailureKind.INVALID_INPUT,
    NotFoundError: FailureKind.NOT_FOUND,
    ConflictError: FailureKind.CONFLICT,
    RefusedError: FailureKind.REFUSED,
    PermissionRefusedError: FailureKind.PERMISSION_REFUSED,
    UnauthenticatedError: FailureKind.UNAUTHENTICATED,
    OverloadedError: FailureKind.OVERLOADED,
    DeadlinePassedError: FailureKind.DEADLINE_PASSED,
    UnavailableError: FailureKind.UNAVAILABLE,
    CorruptedError: FailureKind.CORRUPTED,
}


def failure_kind_of(error: BaseException) -> FailureKind:
    """Return the kind of `error`; a subclass has the kind of its nearest base."""
    kinds = (_KIND_OF[each] for each in type(error).__mro__ if each in _KIND_OF)
    return next(kinds, FailureKind.INTERNAL)


_FACTS_OF: dict[type[BaseException], tuple[str, ...]] = {
    NotFoundError: ("kind", "name"),
    OverloadedError: ("what",),
    DeadlinePassedError: ("stage",),
    UnavailableError: ("dependency", "why"),
}


def facts_of(error: BaseException) -> dict[str, str]:
    """Return the facts of an error of ours by name, for programs; none of an error that is not ours."""
    names = next((_FACTS_OF[each] for each in type(error).__mro__ if each in _FACTS_OF), ())
    facts = {name: _cut(str(getattr(error, name)), _LONG_CHARACTERS) for name in names}
    return {name: fact for name, fact in facts.items() if fact}


_SHOWN_CHARACTERS = 80
_LONG_CHARACTERS = 400


_ACCEPTED = "; accepted: "
_READ = ": read "


def _faults_in(text: str) -> tuple[Fault, ...]:
    """Return the faults in `text` if it has the form of an InvalidInputError's text, else none."""
    head, *tails = text.split(_ACCEPTED)
    faults: list[Fault] = []
    for left, tail in zip(reversed(range(len(tails))), tails, strict=True):
        field, is_fault, read = head.partition(_READ)
        accepted, has_next = tail, ""
        if left:  # up to the field of the next fault
            before, has_read, next_read = tail.partition(_READ)
            accepted, has_next, next_field = before.rpartition("; ")
            head = f"{next_field}{has_read}{next_read}"
        if not is_fault or bool(left) != bool(has_next):
            return ()
        faults.append(Fault(field, read, accepted))
    return tuple(faults)


def _shown(value: object) -> str:
    # The `repr` of a text of 8 MB, of which all but 80 characters are cut, takes up to 30 ms.
    return _cut(repr(value[:_SHOWN_CHARACTERS] if isinstance(value, str | bytes) else value))


def _cut(text: str, most: int = _SHOWN_CHARACTERS) -> str:
    return text if len(text) <= most else f"{text[:most]}…"
