"""Decoding of a batch of packed records of one view, by one join and one `frombuffer`."""

from collections.abc import Sequence
from dataclasses import dataclass

from understudy.features.decisions.record_format import FixedParts, RecordFormat, is_of, strings_of


@dataclass(slots=True, eq=False)  # not frozen: that makes construction three times slower
class DecodedRecords:
    """The fixed parts of n records; a row without a record has a blank one."""

    form: RecordFormat
    parts: FixedParts
    records: Sequence[bytes]
    is_full: bool  # every row has a record with every value
    wrong_digests: int

    def texts(self, string: int) -> list[bytes]:
        """Return the values of one string feature; b"" where absent."""
        if self.form.string_count == 1:
            return [record[self.form.size_bytes :] for record in self.records]
        return [strings_of(self.form, record)[string] for record in self.records]


def decode(form: RecordFormat, records: Sequence[bytes | None]) -> DecodedRecords:
    """Decode records of one view.

    None, b"" and records written under another definition of the view count as absent; the
    last kind is counted.
    """
    if not form.string_count:
        try:
            joined = b"".join(records)  # type: ignore[arg-type]  # None raises, on purpose
        except TypeError:
            joined = b""
        if len(joined) == len(records) * form.size_bytes:
            parts = form.parts(joined)
            if form.has_full_heads(parts):
                return DecodedRecords(form, parts, (), is_full=True, wrong_digests=0)
    return _decode_each(form, records)


def _decode_each(form: RecordFormat, records: Sequence[bytes | None]) -> DecodedRecords:
    blank = form.blank
    usable: list[bytes] = []
    wrong_digests = 0
    for record in records:
        if not record:
            usable.append(blank)
        elif is_of(form, record):
            usable.append(record)
        else:
            wrong_digests += 1
            usable.append(blank)
    size = form.size_bytes
    parts = form.parts(b"".join([record[:size] for record in usable]))
    is_full = form.has_full_heads(parts)
    return DecodedRecords(form, parts, usable, is_full=is_full, wrong_digests=wrong_digests)
