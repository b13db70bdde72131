"""The packed record: one view's values of one entity, little-endian, decoded a batch at a time.

    | digest 8 B | presence bitmap, 64-bit words | event time, int64 ms | float64 | int64 |
    | float32 | string lengths, uint32 | bool | padding to 8 B || strings, UTF-8, back to back |

All before `||` has the same size for each record of a view, so a batch is decoded by one join
and one `frombuffer`. The digest is the first 8 bytes of the view's; a record with another one was
written under another definition and must not be read by this one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from domain.features import FeatureDtype, FeatureScalar, FeatureView

WORD_BYTES = 8
_BLOCKS = (  # in the order of the record, by falling alignment
    (FeatureDtype.FLOAT64, "<f8"),
    (FeatureDtype.INT64, "<i8"),
    (FeatureDtype.FLOAT32, "<f4"),
    (FeatureDtype.STRING, "<u4"),  # lengths; the texts stand in the tail
    (FeatureDtype.BOOL, "u1"),
)
ELEMENT_DTYPES = dict(_BLOCKS)

Words2d = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class RecordFormat:
    """Where each thing stands in the fixed part of a view's records."""

    names: tuple[str, ...]
    dtypes: tuple[FeatureDtype, ...]
    digest: bytes
    size_bytes: int
    presence_words: int
    event_time_word: int
    block_offsets: Mapping[FeatureDtype, int]  # bytes
    block_columns: tuple[int, ...]  # of each feature, inside the block of its dtype
    string_count: int
    full_head: bytes  # digest and presence words of a record with every value
    blank: bytes  # a record without values

    def has_full_heads(self, words: Words2d) -> bool:
        """Return whether each record is of this view and has every value."""
        heads = words[:, : self.event_time_word].tobytes()  # bytes compare faster than .all()
        return heads == self.full_head * len(words)

    def words(self, joined: bytes) -> Words2d:
        """Return the fixed parts of joined records, shape (n, size_bytes / 8)."""
        return np.frombuffer(joined, dtype="<i8").reshape(-1, self.size_bytes // WORD_BYTES)

    def event_times_ms(self, words: Words2d) -> npt.NDArray[np.int64]:
        """Return the event times, UTC milliseconds since 1970, shape (n,)."""
        return words[:, self.event_time_word]

    def presence(self, words: Words2d) -> npt.NDArray[np.bool_]:
        """Return which features have a value, shape (n, features)."""
        bitmap = np.ascontiguousarray(words[:, 1 : 1 + self.presence_words]).view(np.uint8)
        bits = np.unpackbits(bitmap, axis=1, count=len(self.names), bitorder="little")
        return bits.view(np.bool_)

    def block(self, words: Words2d, dtype: FeatureDtype) -> npt.NDArray[np.generic]:
        """Return the values of all features of `dtype`, shape (n, features of that dtype)."""
        element = np.dtype(ELEMENT_DTYPES[dtype])
        start = self.block_offsets[dtype]
        width = self.dtypes.count(dtype)
        # Bytes first: a block need not start at a multiple of its row's length.
        row_bytes = words.view(np.uint8)[:, start : start + width * element.itemsize]
        return row_bytes.view(element)


@lru_cache(maxsize=4096)
def record_format(view: FeatureView) -> RecordFormat:
    """Return the record format of `view`."""
    dtypes = tuple(feature.dtype for feature in view.features)
    presence_words = -(-len(dtypes) // 64)
    offset = (presence_words + 2) * WORD_BYTES
    offsets: dict[FeatureDtype, int] = {}
    for dtype, element in _BLOCKS:
        offsets[dtype] = offset
        offset += dtypes.count(dtype) * np.dtype(element).itemsize
    size_bytes = -(-offset // WORD_BYTES) * WORD_BYTES
    digest = bytes.fromhex(view.digest)[:WORD_BYTES]
    every = (1 << len(dtypes)) - 1
    return RecordFormat(
        names=tuple(feature.name for feature in view.features),
        dtypes=dtypes,
        digest=digest,
        size_bytes=size_bytes,
        presence_words=presence_words,
        event_time_word=presence_words + 1,
        block_offsets=offsets,
        block_columns=tuple(dtypes[:place].count(dtype) for place, dtype in enumerate(dtypes)),
        string_count=dtypes.count(FeatureDtype.STRING),
        full_head=digest + every.to_bytes(presence_words * WORD_BYTES, "little"),
        blank=digest.ljust(size_bytes, b"\0"),
    )


def event_time_ms_of(form: RecordFormat, record: bytes) -> int:
    """Return the event time of one record, UTC milliseconds since 1970."""
    start = form.event_time_word * WORD_BYTES
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
) -> list[bytes]:
    """Return one record per row.

    Args:
        form: of the records.
        columns: per feature, n values; UTF-8 bytes for strings. Read only where present.
        present: shape (n, features).
        event_times_ms: shape (n,), UTC milliseconds since 1970.
    """
    rows = len(event_times_ms)
    words = np.zeros((rows, form.size_bytes // WORD_BYTES), dtype="<i8")
    words[:, 0] = int.from_bytes(form.digest, "little", signed=True)
    bits = np.zeros((rows, form.presence_words * 64), dtype=np.uint8)
    bits[:, : len(form.names)] = present
    words[:, 1 : 1 + form.presence_words] = np.packbits(bits, axis=1, bitorder="little").view("<i8")
    words[:, form.event_time_word] = event_times_ms
    for place, column in enumerate(columns):
        block = form.block(words, form.dtypes[place])
        values = (
            np.fromiter(map(len, column), dtype="<u4", count=rows)
            if form.dtypes[place] is FeatureDtype.STRING
            else np.asarray(column)
        )
        block[:, form.block_columns[place]] = np.where(present[:, place], values, 0)
    joined = words.tobytes()
    size = form.size_bytes
    fixed = [joined[start : start + size] for start in range(0, rows * size, size)]
    return fixed if not form.string_count else _with_tails(form, fixed, columns, present)


def pack_record(
    form: RecordFormat, values: Mapping[str, FeatureScalar | None], *, event_time_ms: int
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
    return pack_columns(form, columns, present, np.array([event_time_ms], dtype=np.int64))[0]


def unpack_record(form: RecordFormat, record: bytes) -> dict[str, FeatureScalar | None]:
    """Return the values of one record by feature name; for tools, not for the request path."""
    words = form.words(record[: form.size_bytes])
    present = form.presence(words)[0]
    texts = strings_of(form, record) if form.string_count else []
    values: dict[str, FeatureScalar | None] = {}
    for place, (name, dtype) in enumerate(zip(form.names, form.dtypes, strict=True)):
        column = form.block_columns[place]
        if not present[place]:
            values[name] = None
        elif dtype is FeatureDtype.STRING:
            values[name] = texts[column].decode()
        elif dtype is FeatureDtype.BOOL:
            values[name] = bool(form.block(words, dtype)[0, column])
        else:
            values[name] = form.block(words, dtype)[0, column].item()
    return values


def _string_lengths(form: RecordFormat, record: bytes) -> list[int]:
    start = form.block_offsets[FeatureDtype.STRING]
    lengths = np.frombuffer(record, dtype="<u4", count=form.string_count, offset=start)
    return [int(length) for length in lengths]


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
