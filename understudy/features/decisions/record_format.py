"""The packed record: one view's values of one entity, little-endian, decoded a batch at a time.

    | digest 8 B | presence bitmap and lossy bit, 64-bit words | event, created, ingestion time, int64 ms each |
    | float64 | int64 | float32 | string lengths, uint32 | bool | padding to 8 B |
    || strings, UTF-8, back to back |

Everything before `||` has the same size in every record of a view, so a batch is decoded by one
join and one `frombuffer`. The digest is the first 8 bytes of the view's digest; a record with
another one was written under another definition and must not be read under this one.

The bit after those of the features marks a lossy record: it was made of one that had an unusable
value, as records of other tools may. Its absent values may not be nulls.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from struct import unpack_from

import numpy as np
import numpy.typing as npt

from understudy.domain.features import FeatureDtype, FeatureScalar, FeatureView

WORD_BYTES = 8
_DIGEST, _HEAD, _PRESENCE = "digest", "head", "presence"
_EVENT_TIME, _CREATED_TIME, _INGESTION_TIME = "event_time", "created_time", "ingestion_time"
_BLOCKS = (  # in the order of the record, by falling alignment
    (FeatureDtype.FLOAT64, "<f8"),
    (FeatureDtype.INT64, "<i8"),
    (FeatureDtype.FLOAT32, "<f4"),
    (FeatureDtype.STRING, "<u4"),  # lengths; the texts are in the tail
    (FeatureDtype.BOOL, "u1"),
)
ELEMENT_DTYPES = dict(_BLOCKS)

FixedParts = npt.NDArray[np.void]  # shape (n,), one structure per record


@dataclass(frozen=True, slots=True, eq=False)
class RecordFormat:
    """Offsets of the parts of a record of one view."""

    names: tuple[str, ...]
    dtypes: tuple[FeatureDtype, ...]
    digest: bytes
    size_bytes: int
    event_time_offset: int  # bytes; the other times follow
    string_lengths_offset: int  # bytes
    fixed: "np.dtype[np.void]"  # the fixed part as a structure: head, presence, times, blocks
    block_columns: tuple[int, ...]  # of each feature, inside the block of its dtype
    string_count: int
    full_head: bytes  # digest and presence words of a record with every value
    blank: bytes  # a record without values

    def parts(self, joined: bytes) -> FixedParts:
        """Return the fixed parts of joined records."""
        return np.frombuffer(joined, dtype=self.fixed)

    def has_full_heads(self, parts: FixedParts) -> bool:
        """Return whether every record is of this view and has every value."""
        # Bytes compare faster than arrays do.
        return parts[_HEAD].tobytes() == self.full_head * len(parts)

    def presence(self, parts: FixedParts) -> npt.NDArray[np.bool_]:
        """Return which features have a value, shape (n, features)."""
        bitmap = parts[_PRESENCE]
        bits = np.unpackbits(bitmap, axis=1, count=len(self.names), bitorder="little")
        return bits.view(np.bool_)

    def lossy(self, parts: FixedParts) -> npt.NDArray[np.bool_]:
        """Return which records lost a value when they were made, shape (n,)."""
        byte, bit = divmod(len(self.names), 8)
        lost: npt.NDArray[np.bool_] = (parts[_PRESENCE][:, byte] & np.uint8(1 << bit)) != 0
        return lost

    def block(self, parts: FixedParts, dtype: FeatureDtype) -> npt.NDArray[np.generic]:
        """Return the values of all features of `dtype`, shape (n, features of that dtype)."""
        return parts[dtype.value]


@lru_cache(maxsize=4096)
def record_format(view: FeatureView) -> RecordFormat:
    """Return the record format of `view`."""
    dtypes = tuple(feature.dtype for feature in view.features)
    presence_bytes = -(-(len(dtypes) + 1) // 64) * WORD_BYTES
    event_time_offset = offset = WORD_BYTES + presence_bytes
    fields: dict[str, tuple[str | tuple[str, tuple[int]], int]] = {
        _DIGEST: ("<i8", 0),
        _HEAD: (f"V{event_time_offset}", 0),
        _PRESENCE: (("u1", (presence_bytes,)), WORD_BYTES),
    }
    for time in (_EVENT_TIME, _CREATED_TIME, _INGESTION_TIME):
        fields[time] = ("<i8", offset)
        offset += WORD_BYTES
    for dtype, element in _BLOCKS:
        fields[dtype.value] = ((element, (dtypes.count(dtype),)), offset)
        offset += dtypes.count(dtype) * np.dtype(element).itemsize
    size_bytes = -(-offset // WORD_BYTES) * WORD_BYTES
    digest = bytes.fromhex(view.digest)[:WORD_BYTES]
    every = (1 << len(dtypes)) - 1
    return RecordFormat(
        names=tuple(feature.name for feature in view.features),
        dtypes=dtypes,
        digest=digest,
        size_bytes=size_bytes,
        event_time_offset=event_time_offset,
        string_lengths_offset=fields[FeatureDtype.STRING.value][1],
        fixed=np.dtype(
            {
                "names": list(fields),
                "formats": [form for form, _ in fields.values()],
                "offsets": [start for _, start in fields.values()],
                "itemsize": size_bytes,
            }
        ),
        block_columns=tuple(dtypes[:place].count(dtype) for place, dtype in enumerate(dtypes)),
        string_count=dtypes.count(FeatureDtype.STRING),
        full_head=digest + every.to_bytes(presence_bytes, "little"),
        blank=digest.ljust(size_bytes, b"\0"),
    )


def event_time_ms_of(form: RecordFormat, record: bytes) -> int:
    """Return the event time of one record, UTC milliseconds since 1970."""
    start = form.event_time_offset
    return int.from_bytes(record[start : start + WORD_BYTES], "little", signed=True)


def created_time_ms_of(form: RecordFormat, record: bytes) -> int:
    """Return the time at which a record's values were created, UTC milliseconds; 0 if unknown."""
    start = form.event_time_offset + WORD_BYTES
    return int.from_bytes(record[start : start + WORD_BYTES], "little", signed=True)


def is_of(form: RecordFormat, record: bytes) -> bool:
    """Return whether `record` is a whole record of this format."""
    if len(record) < form.size_bytes or not record.startswith(form.digest):
        return False
    if not form.string_count:
        return len(record) == form.size_bytes
    return len(record) == form.size_bytes + sum(_string_lengths(form, record))


def strings_of(form: RecordFormat, record: bytes) -> list[bytes]:
    """Return the texts of one record in the order of its string features; b"" where absent."""
    texts: list[bytes] = []
    start = form.size_bytes
    for length in _string_lengths(form, record):
        texts.append(record[start : start + length])
        start += length
    return texts


def pack_columns(
    form: RecordFormat,
    columns: Sequence[npt.NDArray[np.generic] | Sequence[bytes]],
    present: npt.NDArray[np.bool_],
    event_times_ms: npt.NDArray[np.int64],
    created_times_ms: npt.NDArray[np.int64] | int = 0,
    ingestion_times_ms: npt.NDArray[np.int64] | int = 0,
    *,
    lossy: npt.NDArray[np.bool_] | bool = False,
) -> list[bytes]:
    """Return one record per row.

    Args:
        form: of the records.
        columns: per feature, n values; UTF-8 bytes for strings. Read only where present.
        present: shape (n, features).
        event_times_ms: shape (n,), UTC milliseconds since 1970.
        created_times_ms: the same for the times at which the values were created; 0 if unknown.
        ingestion_times_ms: the same for the times at which a store got them; 0 if unknown.
        lossy: shape (n,): rows of which a value could not be kept.
    """
    rows = len(event_times_ms)
    parts = np.zeros(rows, dtype=form.fixed)
    parts[_DIGEST] = int.from_bytes(form.digest, "little", signed=True)
    bits = np.zeros((rows, parts[_PRESENCE].shape[1] * 8), dtype=np.uint8)
    bits[:, : len(form.names)] = present
    bits[:, len(form.names)] = lossy
    parts[_PRESENCE] = np.packbits(bits, axis=1, bitorder="little")
    parts[_EVENT_TIME] = event_times_ms
    parts[_CREATED_TIME] = created_times_ms
    parts[_INGESTION_TIME] = ingestion_times_ms
    for place, column in enumerate(columns):
        values = (
            np.fromiter(map(len, column), dtype="<u4", count=rows)
            if form.dtypes[place] is FeatureDtype.STRING
            else np.asarray(column)
        )
        block = parts[form.dtypes[place].value]
        block[:, form.block_columns[place]] = np.where(present[:, place], values, 0)
    joined = parts.tobytes()
    size = form.size_bytes
    fixed = [joined[start : start + size] for start in range(0, rows * size, size)]
    return fixed if not form.string_count else _with_tails(form, fixed, columns, present)


def pack_record(
    form: RecordFormat,
    values: Mapping[str, FeatureScalar | None],
    *,
    event_time_ms: int,
    created_time_ms: int = 0,
    is_lossy: bool = False,
) -> bytes:
    """Return one record; a feature that is absent or None in `values` has no value."""
    given = [values.get(name) for name in form.names]
    columns: list[npt.NDArray[np.generic] | Sequence[bytes]] = []
    for dtype, value in zip(form.dtypes, given, strict=True):
        if dtype is FeatureDtype.STRING:
            columns.append([str(value).encode() if value is not None else b""])
        else:
            columns.append(np.array([0 if value is None else value], dtype=ELEMENT_DTYPES[dtype]))
    present = np.array([[value is not None for value in given]])
    event_times_ms = np.array([event_time_ms], dtype=np.int64)
    return pack_columns(form, columns, present, event_times_ms, created_time_ms, lossy=is_lossy)[0]


def unpack_record(form: RecordFormat, record: bytes) -> dict[str, FeatureScalar | None]:
    """Return the values of one record by feature name; for tools, not for the request path."""
    parts = form.parts(record[: form.size_bytes])
    present = form.presence(parts)[0]
    texts = strings_of(form, record) if form.string_count else []
    values: dict[str, FeatureScalar | None] = {}
    for place, (name, dtype) in enumerate(zip(form.names, form.dtypes, strict=True)):
        column = form.block_columns[place]
        if not present[place]:
            values[name] = None
        elif dtype is FeatureDtype.STRING:
            values[name] = texts[column].decode()
        elif dtype is FeatureDtype.BOOL:
            values[name] = bool(form.block(parts, dtype)[0, column])
        else:
            values[name] = form.block(parts, dtype)[0, column].item()
    return values


def _string_lengths(form: RecordFormat, record: bytes) -> tuple[int, ...]:
    return unpack_from(f"<{form.string_count}I", record, form.string_lengths_offset)


def _with_tails(
    form: RecordFormat,
    fixed: list[bytes],
    columns: Sequence[npt.NDArray[np.generic] | Sequence[bytes]],
    present: npt.NDArray[np.bool_],
) -> list[bytes]:
    texts = [
        [text if here else b"" for text, here in zip(column, present[:, place], strict=True)]
        for place, column in enumerate(columns)
        if form.dtypes[place] is FeatureDtype.STRING
    ]
    return [
        b"".join((head, *tail)) for head, tail in zip(fixed, zip(*texts, strict=True), strict=True)
    ]


@dataclass(slots=True, eq=False)  # not frozen, which would make construction three times slower
class DecodedRecords:
    """The fixed parts of n records; a row without a record has a blank one."""

    form: RecordFormat
    parts: FixedParts
    records: Sequence[bytes]
    is_full: bool  # every row has a record with every value
    wrong_digests: int
    event_times_ms: npt.NDArray[np.int64]  # UTC since 1970, shape (n,); 0 without a record
    absent: npt.NDArray[np.bool_] | None = None  # (n,): rows without a record; None: no such row
    unread: npt.NDArray[np.bool_] | None = None  # (n,): those without an answer of the store

    def texts(self, string: int) -> list[bytes]:
        """Return the values of one string feature; b"" where absent."""
        if self.form.string_count == 1:
            return [record[self.form.size_bytes :] for record in self.records]
        return [strings_of(self.form, record)[string] for record in self.records]


def decode(form: RecordFormat, records: Sequence[bytes | None]) -> DecodedRecords:
    """Decode records of one view.

    None, b"" (no answer of the store) and records written under another definition of the view
    count as absent; the last kind is counted.
    """
    if not form.string_count:
        try:
            joined = b"".join(records)  # type: ignore[arg-type]  # None raises, on purpose
        except TypeError:
            joined = b""
        if len(joined) == len(records) * form.size_bytes:
            parts = form.parts(joined)
            if form.has_full_heads(parts):
                times_ms = parts[_EVENT_TIME]
                return DecodedRecords(
                    form, parts, (), is_full=True, wrong_digests=0, event_times_ms=times_ms
                )
    return _decode_each(form, records)


def _decode_each(form: RecordFormat, records: Sequence[bytes | None]) -> DecodedRecords:
    blank = form.blank
    usable: list[bytes] = []
    absent: list[int] = []
    unread: list[int] = []
    wrong_digests = 0
    for row, record in enumerate(records):
        if record and is_of(form, record):
            usable.append(record)
            continue
        usable.append(blank)
        absent.append(row)
        if record:
            wrong_digests += 1
        elif record is not None:
            unread.append(row)
    size = form.size_bytes
    parts = form.parts(b"".join([record[:size] for record in usable]))
    is_full = form.has_full_heads(parts)
    return DecodedRecords(
        form,
        parts,
        usable,
        is_full=is_full,
        wrong_digests=wrong_digests,
        event_times_ms=parts[_EVENT_TIME],
        absent=_marked(absent, len(records)),
        unread=_marked(unread, len(records)),
    )


def _marked(rows: Sequence[int], of: int) -> npt.NDArray[np.bool_] | None:
    if not rows:
        return None
    marked = np.zeros(of, dtype=np.bool_)
    marked[rows] = True
    return marked
