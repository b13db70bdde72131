"""Reports from bytes: their room is known before they are parsed, so that a refusal costs little."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from google.protobuf.message import Message

from understudy.domain.wire_counts import TooMany, Unreadable
from understudy.domain.wire_parts import CountedList, split_message
from understudy.runtime.parsing import RequestForm, refusal_of

MessageT = TypeVar("MessageT", bound=Message)

_MOST_OTHERS = 64  # fields that are no part; each kind of report has at most four


@dataclass(frozen=True, slots=True)
class ReceivedReport(Generic[MessageT]):
    """A report whose parts, scorers or models, are still to be parsed."""

    head: MessageT  # all fields but the parts
    parts: int
    largest_part_bytes: int  # with tag and length
    received: bytes
    form: RequestForm[MessageT]

    def parsed(self) -> MessageT:
        """Return the whole report.

        Raises:
            InvalidInputError: it has too many values, or the bytes are no such report.
        """
        return self.form.read(self.received)


class ReportForm(Generic[MessageT]):
    """A kind of report, with one list of parts."""

    def __init__(self, form: RequestForm[MessageT], parts: str, most_parts: int) -> None:
        self.kind = form.kind
        self._form = form
        number = form.kind.DESCRIPTOR.fields_by_name[parts].number
        self._parts = CountedList(parts, number, most_parts)

    def read(self, received: bytes) -> ReceivedReport[MessageT]:
        """Return the report with its parts counted and not parsed.

        Raises:
            InvalidInputError: it has too many parts or other fields, or the bytes are no message.
        """
        split = split_message(
            received, self._parts, most_others=_MOST_OTHERS, part_bytes=0, part_entries=1
        )
        if isinstance(split, TooMany | Unreadable):
            raise refusal_of(self.kind, received, split)
        head = self._form.read(split.rest)
        return ReceivedReport(head, split.entries, split.largest_entry_bytes, received, self._form)
