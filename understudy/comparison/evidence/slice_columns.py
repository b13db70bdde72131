"""The columns by which rows are sliced: of the score log, or of a file of the analyst's."""

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa

from understudy.comparison.decisions.slicing import (
    ABSENT,
    MOST_VALUES,
    PARTS,
    ByPart,
    ByValue,
    Codes,
    Cut,
    by_part,
    is_number,
    places_of,
)
from understudy.comparison.evidence.engine import Engine
from understudy.comparison.evidence.ordered_rows import BY_UNIT, IN_RANGE, ordered_batches
from understudy.comparison.evidence.uses import ID, KEYS
from understudy.domain.errors import Fault, InvalidInputError, UnavailableError
from understudy.features.loading.source_files import open_chunks

REQUEST_ID = "request_id"
OF_LOG = {
    "level": "level::INTEGER",
    "rule": "rule",
    "revision": "revision",
    "decision": "decision",
    "sent_entities": "sent_entities",
    "hour": "hour(at_utc)",
    "weekday": "dayname(at_utc)",
    "date": "date",
}
"""Columns that every row of the score log has, by the name of the slice."""
BY_MODEL = ("level", "decision")
"""Those of them that the answer of a model decides, so that arms have other rows in each."""
_CHUNK_ROWS = 65_536
_ROWS = "COMPARED"  # the table, or a query, that has the keys of the rows


def read_slice_columns(
    engine: Engine,
    model: str,
    names: Sequence[str],
    file: Path | None,
    rows: int,
    *,
    of: str = "paired",
) -> dict[str, Codes]:
    """Return the named columns for the rows that are compared, in the order of units.

    Args:
        engine: with the table of these rows.
        model: the deployment.
        names: of columns; those of the file come first.
        file: Parquet or CSV with a column `request_id`, once per request; None: the log alone.
        rows: that are compared.
        of: the table of them, or a query in brackets.

    Raises:
        InvalidInputError: a column is in neither, or a request stands twice in the file.
        NotFoundError: there is no such file.
    """
    of_log = [name for name in names if file is None and name in OF_LOG]
    of_file = [name for name in names if name not in of_log]
    if of_file and file is None:
        raise InvalidInputError(
            [
                Fault("slice", name, f"one of {', '.join(OF_LOG)}, or a column of --slices FILE")
                for name in of_file
            ]
        )
    columns: dict[str, Codes] = {}
    if of_log:
        chosen = ", ".join(f"{OF_LOG[name]} AS c{place}" for place, name in enumerate(of_log))
        query = _FROM_LOG.replace("COLUMNS", chosen).replace(_ROWS, of)
        engine.keep("sliced", query, {"model": model})
        if engine.rows(_COUNT)[0]["rows"] > rows:
            places = ", ".join(f"c{place}" for place in range(len(of_log)))
            engine.keep("of_nearest", _OF_NEAREST.replace("COLUMNS", places), {})
            engine.keep("sliced", "FROM of_nearest", {})
        columns |= zip(of_log, _codes(engine, len(of_log), rows), strict=True)
    if of_file and file is not None:
        _keep_file(engine, file, of_file)
        engine.keep("sliced", _FROM_FILE.replace(_ROWS, of), {})
        columns |= zip(of_file, _codes(engine, len(of_file), rows), strict=True)
    return columns


def _codes(engine: Engine, columns: int, rows: int) -> list[Codes]:
    """Return the places of all rows in each column of `sliced`, read a part at a time."""
    cuts = [_cut(engine, f"c{place}") for place in range(columns)]
    asked = ", ".join(
        f"coalesce(c{place}::DOUBLE, 'nan'::DOUBLE) AS c{place}"
        if isinstance(cut, ByPart)
        else f"coalesce(c{place}::VARCHAR, '{ABSENT}') AS c{place}"
        for place, cut in enumerate(cuts)
    )
    found = [np.empty(rows, np.int8) for _ in cuts]
    start = 0
    for batch in ordered_batches(engine, _IN_ORDER.replace("COLUMNS", asked), "sliced", rows):
        for place, cut in enumerate(cuts):
            values = batch.column(place)
            if isinstance(cut, ByPart):
                values = values.to_numpy(zero_copy_only=False)
            found[place][start : start + len(batch)] = places_of(values, cut)
        start += len(batch)
    return [(places, cut.names) for places, cut in zip(found, cuts, strict=True)]


def _cut(engine: Engine, column: str) -> Cut:
    kind = engine.table(f"SELECT {column} FROM sliced LIMIT 0").schema.field(0).type  # noqa: S608 - a name of ours
    if is_number(kind) and len(engine.rows(_DISTINCT.replace("COLUMN", column))) > MOST_VALUES:
        (found,) = engine.rows(_QUANTILES.replace("COLUMN", column))
        return by_part(found["quantiles"] or ())
    values = engine.rows(_VALUES.replace("COLUMN", column))
    return ByValue(tuple(each["value"] for each in values))


def _keep_file(engine: Engine, file: Path, names: Sequence[str]) -> None:
    """Keep the columns of the file as the table `given_slices`, by digests of their requests."""
    wanted = list(dict.fromkeys([REQUEST_ID, *names]))
    faults: list[InvalidInputError] = []
    with open_chunks(file, wanted, chunk_rows=_CHUNK_ROWS) as chunks:
        batches = _remembering((chunk.batch for chunk in chunks), faults)
        first = next(batches, None)
        if first is None:
            raise InvalidInputError.of(
                "slices", read=f"{file}: no row", accepted="a row per request"
            )
        stream = pa.RecordBatchReader.from_batches(first.schema, chain([first], batches))
        engine.add("given_stream", stream)
        places = ", ".join(f"#{1 + wanted.index(name)} AS c{at}" for at, name in enumerate(names))
        try:
            engine.keep("given_slices", _GIVEN.replace("COLUMNS", places), {})
        except UnavailableError as error:
            if faults:
                raise faults[0] from error
            accepted = "columns of numbers, texts, booleans, dates or times"
            raise InvalidInputError.of(
                "slices", read=f"{file}: {error}", accepted=accepted
            ) from error
    (twice,) = engine.rows(_TWICE)
    if twice["rows"]:
        raise InvalidInputError.of(
            "slices.request_id", read=f"{twice['rows']} repeated values", accepted="each value once"
        )


def _remembering(
    batches: Iterator[pa.RecordBatch], faults: list[InvalidInputError]
) -> Iterator[pa.RecordBatch]:
    """Yield the batches, and keep a fault, of which the engine would return the text alone."""
    try:
        yield from batches
    except InvalidInputError as error:
        faults.append(error)
        raise


_GIVEN = f"""
    SELECT {ID} AS id, * EXCLUDE (request_id)
    FROM (SELECT request_id::VARCHAR AS request_id, COLUMNS FROM given_stream)
"""  # noqa: S608 - texts of ours
_TWICE = "SELECT count(*) - count(DISTINCT id) AS rows FROM given_slices"
_DISTINCT = f"SELECT DISTINCT COLUMN FROM sliced LIMIT {MOST_VALUES + 1}"  # noqa: S608 - as above
_LEVELS = [part / PARTS for part in range(PARTS + 1)]
_QUANTILES = f"""
    SELECT quantile_cont(COLUMN::DOUBLE, {_LEVELS}) FILTER (isfinite(COLUMN::DOUBLE)) AS quantiles
    FROM sliced
"""  # noqa: S608 - as above
_VALUES = f"""
    SELECT coalesce(COLUMN::VARCHAR, '{ABSENT}') AS value, count(*) AS rows
    FROM sliced GROUP BY ALL ORDER BY rows DESC, value LIMIT {MOST_VALUES}
"""  # noqa: S608 - as above
_IN_ORDER = f"SELECT COLUMNS FROM sliced WHERE {IN_RANGE} {BY_UNIT}"  # noqa: S608 - as above

_FROM_LOG = f"""
    WITH answers AS (
        SELECT {KEYS}, at_utc AS answered_at_utc, COLUMNS FROM score WHERE model = $model
    )
    SELECT compared.id, use, candidate, unit,
           epoch_us(answered_at_utc) - epoch_us(compared.at_utc) AS later_us,
           answers.* EXCLUDE (id, candidate, unit, answered_at_utc)
    FROM {_ROWS} AS compared LEFT JOIN answers USING (id, unit, candidate)
"""  # noqa: S608 - as above
_COUNT = "SELECT count(*) AS rows FROM sliced"
# Of several answers to a request the one nearest in time is the row's own.
_OF_NEAREST = """
    SELECT * FROM sliced
    QUALIFY row_number() OVER (
        PARTITION BY id, use, candidate, unit ORDER BY abs(later_us), later_us, COLUMNS
    ) = 1
"""

_FROM_FILE = f"""
    SELECT compared.id, use, candidate, unit, given_slices.* EXCLUDE (id)
    FROM {_ROWS} AS compared LEFT JOIN given_slices USING (id)
"""  # noqa: S608 - as above


def queries(of: str = "paired") -> dict[str, str]:
    """Return the queries by name, for the table of the rows that are compared."""
    return {
        "slices by the score log": _FROM_LOG.replace(_ROWS, of),
        "the answer nearest to a row": _OF_NEAREST,
        "slices by a file": _FROM_FILE.replace(_ROWS, of),
        "values of a slice": _VALUES,
        "parts of numbers": _QUANTILES,
        "slices in the order of rows": _IN_ORDER,
    }
