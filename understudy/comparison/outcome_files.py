"""Files with outcomes, Parquet, CSV or JSON, checked as a whole."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from understudy.comparison.decisions.outcome_values import (
    OutcomeColumns,
    OutcomeValues,
    outcomes_of_columns,
    outcomes_of_documents,
)
from understudy.domain.errors import Fault, InvalidInputError, NotFoundError
from understudy.features.decisions.row_values import Reject
from understudy.features.loading.source_files import open_chunks

_ROWS = 8192
_COLUMNAR = (".parquet", ".csv", ".tsv")
_DOCUMENTS = (".json", ".jsonl", ".ndjson")
_ACCEPTED_JSON = "JSON objects, one per line or in a list"


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """The outcomes of a file."""

    request_ids: list[str]
    labels: npt.NDArray[np.float64]
    observed_at_us: npt.NDArray[np.int64] | None  # UTC since 1970; None if no column was named


def read_outcomes(file: Path, columns: OutcomeColumns) -> Outcomes:
    """Return the outcomes in `file`, in file order.

    Raises:
        InvalidInputError: the file is not in the format of its extension, a column is missing or
            duplicated, or rows lack a usable value; all columns are reported.
        NotFoundError: the file does not exist.
    """
    if not file.is_file():
        raise NotFoundError("file", file)
    suffix = file.suffix.lower()
    if suffix not in _COLUMNAR + _DOCUMENTS:
        accepted = ", ".join(sorted(_COLUMNAR + _DOCUMENTS))
        raise InvalidInputError.of("file", read=file.name, accepted=accepted)
    parts = _of_columns if suffix in _COLUMNAR else _of_documents
    unusable = _Unusable()
    ids: list[str] = []
    labels = [np.zeros(0)]
    observed = [np.zeros(0, dtype=np.int64)]
    for part in parts(file, columns, unusable.add):
        for each in part.unusable:
            unusable.add(each)
        ids += part.request_ids
        labels.append(part.labels)
        if part.observed_at_us is not None:
            observed.append(part.observed_at_us)
    unusable.check()
    has_times = columns.observed_at is not None
    return Outcomes(ids, np.concatenate(labels), np.concatenate(observed) if has_times else None)


class _Unusable:
    """Counts unusable values per column and keeps the first of each."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._first: dict[str, Reject] = {}

    def add(self, value: Reject) -> None:
        self._counts[value.column] += 1
        self._first.setdefault(value.column, value)

    def check(self) -> None:
        faults = [
            Fault(
                f"column {name}",
                f"{self._counts[name]} unusable, the first in row {first.row}: {first.read}",
                first.accepted,
            )
            for name, first in self._first.items()
        ]
        if faults:
            raise InvalidInputError(faults)


def _of_columns(
    file: Path, columns: OutcomeColumns, refuse: Callable[[Reject], None]
) -> Iterator[OutcomeValues]:
    names = list(dict.fromkeys(columns.names))
    with open_chunks(file, names, chunk_rows=_ROWS) as chunks:
        for chunk in chunks:
            for each in chunk.broken:
                refuse(each)
            if len(chunk.batch):
                yield outcomes_of_columns(chunk.batch, columns, chunk.row_numbers.tolist())


def _of_documents(
    file: Path, columns: OutcomeColumns, _: Callable[[Reject], None]
) -> Iterator[OutcomeValues]:
    rows = _documents_in(file)
    there = dict.fromkeys(name for row in rows for name in row)
    if missing := [name for name in columns.names if name not in there] if rows else []:
        read, accepted = f"columns {', '.join(there)}", f"a file that also has {', '.join(missing)}"
        raise InvalidInputError([Fault(str(file), read, accepted)])
    for start in range(0, len(rows), _ROWS):
        yield outcomes_of_documents(rows[start : start + _ROWS], columns, first_row=start)


def _documents_in(file: Path) -> list[dict[str, Any]]:
    try:
        rows = _items(list(_values_in(file.read_text(encoding="utf-8-sig"))))
    except UnicodeDecodeError as error:
        raise InvalidInputError([Fault(str(file), "bytes", "UTF-8 text")]) from error
    except (ValueError, RecursionError) as error:
        raise InvalidInputError([Fault(str(file), str(error)[:120], _ACCEPTED_JSON)]) from error
    if strange := [each for each in rows if not isinstance(each, dict)]:
        read = f"{type(strange[0]).__name__} among the rows"
        raise InvalidInputError([Fault(str(file), read, _ACCEPTED_JSON)])
    return rows


def _values_in(text: str) -> Iterator[Any]:
    """Yield the JSON values of a text, which white space separates."""
    decoder = json.JSONDecoder(
        object_pairs_hook=_object, parse_float=_fraction, parse_constant=_refuse_constant
    )
    at = 0
    while (at := _after_space(text, at)) < len(text):
        value, at = decoder.raw_decode(text, at)
        yield value


def _after_space(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise ValueError(f"a name twice in one object: {', '.join(names)[:80]}")
    return dict(pairs)


def _fraction(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise ValueError(f"{text[:40]}, which has too large an exponent") from error


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text}, which is not JSON")


def _items(values: list[Any]) -> list[Any]:
    """Return the values, or the items of a single list."""
    return values[0] if len(values) == 1 and isinstance(values[0], list) else values
