"""The columns by which rows are sliced: of the score log, or of a file of the analyst's."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from understudy.comparison.evidence.engine import Engine
from understudy.comparison.evidence.uses import ID, KEYS
from understudy.domain.errors import Fault, InvalidInputError
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
_CHUNK_ROWS = 65_536


def read_slice_columns(
    engine: Engine, model: str, names: Sequence[str], file: Path | None
) -> dict[str, pa.ChunkedArray]:
    """Return the named columns for the rows of the table `paired`, in its order.

    Args:
        engine: with the table `paired`.
        model: the deployment.
        names: of columns; those of the file come first.
        file: Parquet or CSV with a column `request_id`, once per request; None: the log alone.

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
    columns: dict[str, pa.ChunkedArray] = {}
    if of_log:
        chosen = ", ".join(f'{OF_LOG[name]} AS "{name}"' for name in of_log)
        found = engine.table(_FROM_LOG.replace("COLUMNS", chosen), {"model": model})
        columns |= {name: found[name] for name in of_log}
    if of_file and file is not None:
        engine.add("given_slices", _read(file, of_file))
        found = engine.table(_FROM_FILE)
        columns |= {name: found[name] for name in of_file}
    return columns


def _read(file: Path, names: Sequence[str]) -> pa.Table:
    wanted = list(dict.fromkeys([REQUEST_ID, *names]))
    with open_chunks(file, wanted, chunk_rows=_CHUNK_ROWS) as chunks:
        batches = [chunk.batch for chunk in chunks]
    if not batches:
        raise InvalidInputError.of("slices", read=f"{file}: no row", accepted="a row per request")
    table = pa.Table.from_batches(batches)
    ids = table[REQUEST_ID].cast(pa.string())
    if len(ids.unique()) < len(ids):
        twice = len(ids) - len(ids.unique())
        raise InvalidInputError.of(
            "slices.request_id", read=f"{twice} repeated values", accepted="each value once"
        )
    return table.set_column(table.column_names.index(REQUEST_ID), REQUEST_ID, ids)


_ORDER = "unit, id, use, candidate"  # of the rows that are compared

# Of several answers to a request the one nearest in time is the row's own.
_FROM_LOG = f"""
    WITH answers AS (SELECT {KEYS}, score.* FROM score WHERE model = $model),
    own AS (
        SELECT paired.id, use, paired.candidate, paired.unit, answers.*,
               row_number() OVER (
                   PARTITION BY paired.id, use, paired.candidate, paired.unit
                   ORDER BY abs(epoch_us(answers.at_utc) - epoch_us(paired.at_utc))
               ) AS place
        FROM paired JOIN answers USING (id, unit, candidate)
    ),
    nearest AS (SELECT id, use, candidate, unit, COLUMNS FROM own WHERE place = 1)
    SELECT nearest.* EXCLUDE (id, use, candidate, unit)
    FROM paired LEFT JOIN nearest USING (id, use, candidate, unit)
    ORDER BY {_ORDER}
"""  # noqa: S608 - texts of ours

_FROM_FILE = f"""
    SELECT given_slices.* EXCLUDE (request_id)
    FROM paired LEFT JOIN given_slices ON {ID} = paired.id
    ORDER BY {_ORDER}
"""  # noqa: S608 - as above

QUERIES = {"slices by the score log": _FROM_LOG, "slices by a file": _FROM_FILE}
