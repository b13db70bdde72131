"""The frames between a process and the reader that reads its feature store.

A frame is a head (length of the body, number of the request, kind) and a body. Requests are
pickled: they come from the process that started the reader. Answers are lengths, bytes and JSON:
the memory of a reader may be damaged by what it read, so nothing that it sends is executed.
"""

import pickle
from collections.abc import Callable, Sequence
from enum import IntEnum
from itertools import accumulate
from struct import Struct
from typing import Any

import numpy as np

HEAD = Struct("<IIB")
_NO_RECORD = -1  # as a length
_MANY = 64  # records: below it their lengths are not worth a comparison


class Asked(IntEnum):
    """Kinds of requests."""

    VIEW = 1  # a view; later requests give its position among all views sent
    READ = 2  # the deadline, and per read the view and the ids
    PING = 3  # the deadline
    NEWEST = 4  # the deadline and the view
    CONDITION = 5  # asks for a CONDITION
    OPEN = 6  # the first one: the folder of an LMDB store, or the options of an Aerospike store


class Told(IntEnum):
    """Kinds of answers."""

    READY = 1  # the store is open and verified; the body is a note
    RECORDS = 2
    UNAVAILABLE = 3  # the body is the reason
    FAILED = 4  # a defect; the body is the text for the log
    UNUSABLE = 5  # the reader ends; the body is the reason
    CONDITION = 6  # JSON: a note and the counters


def request(kind: Asked, number: int, value: object) -> bytes:
    """Return the frame of a request."""
    return _frame(kind, number, pickle.dumps(value, pickle.HIGHEST_PROTOCOL))


def requested(body: bytes) -> Any:
    """Return the value in the body of a request."""
    return pickle.loads(body)  # noqa: S301 - from the process that started this one


def answer(kind: Told, number: int, body: bytes = b"") -> bytes:
    """Return the frame of an answer."""
    return _frame(kind, number, body)


def packed_records(records: Sequence[Sequence[bytes | None]]) -> bytes:
    """Return the body of RECORDS: all lengths as int32, then all bytes."""
    flat = [record for read in records for record in read]
    lengths = [_NO_RECORD if record is None else len(record) for record in flat]
    found = [record for record in flat if record]
    return b"".join([np.array(lengths, dtype="<i4").tobytes(), *found])


def unpacked_records(body: bytes, counts: Sequence[int]) -> list[list[bytes | None]]:
    """Return the records of reads of `counts` ids.

    Raises:
        ValueError: the body does not have that many records.
    """
    total = sum(counts)
    lengths = np.frombuffer(body, dtype="<i4", count=total)
    at = 4 * total
    length = int(lengths[0]) if total >= _MANY else _NO_RECORD
    if length > 0 and (lengths == length).all():
        found = _of_one_length(body, at, length)
    else:
        found, at = _of_any_lengths(body, at, lengths.tolist())
        if at != len(body):
            raise ValueError(f"{len(body)} bytes in place of {at}")
    if len(found) != total:
        raise ValueError(f"{len(found)} records in place of {total}")
    if len(counts) == 1:
        return [found]
    ends = accumulate(counts)
    return [found[end - count : end] for end, count in zip(ends, counts, strict=True)]


def _of_one_length(body: bytes, at: int, length: int) -> list[bytes | None]:
    """Return all records from `at` on, at a third of the cost of cutting them one by one.

    Raises:
        ValueError: the rest of the body is no multiple of `length`.
    """
    found: list[bytes | None] = np.frombuffer(body, dtype=f"V{length}", offset=at).tolist()
    return found


def _of_any_lengths(body: bytes, at: int, lengths: Sequence[int]) -> tuple[list[bytes | None], int]:
    """Return the records from `at` on, and their end."""
    found: list[bytes | None] = []
    for length in lengths:
        if length == _NO_RECORD:
            found.append(None)
            continue
        found.append(body[at : at + length])
        at += length
    return found, at


def receive_frame(receive: Callable[[int], bytes]) -> tuple[int, int, bytes] | None:
    """Return kind, number and body of the next frame; None at the end of the stream."""
    head = receive(HEAD.size)
    if len(head) < HEAD.size:
        return None
    length, number, kind = HEAD.unpack(head)
    body = receive(length) if length else b""
    return (kind, number, body) if len(body) == length else None


def _frame(kind: int, number: int, body: bytes) -> bytes:
    return HEAD.pack(len(body), number, kind) + body
