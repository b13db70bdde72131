"""The list columns of the score log: features by exact type, statuses, ages, reasons and outputs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from understudy.domain.logged_features import AGES, NO_RECORD_MS, STATUSES, FeatureList
from understudy.domain.logged_ids import LoggedIds
from understudy.logs.batches import ScoreBatchLog


def feature_columns(
    batches: Sequence[ScoreBatchLog], rows: NDArray[np.int64], schema: pa.Schema, ids: LoggedIds
) -> dict[str, Any]:
    """Return the lists of features, which all batches of a file have in the same order.

    A list is null in rows whose model read no features, and in all rows if no feature has its type.
    """
    listed = next((b.features.listed for b in batches if b.features is not None), None)
    places = {} if listed is None else {each: i for i, (each, _) in enumerate(listed.lists)}
    columns: dict[str, Any] = {}
    for each in FeatureList:
        kind = schema.field(each.value).type
        if each in places:
            at = places[each]
            given = [None if b.features is None else b.features.values_of(at) for b in batches]
            columns[each.value] = _feature_lists(given, rows, kind, each, ids)
        else:
            columns[each.value] = pa.nulls(int(rows.sum()), kind)
    columns[STATUSES] = matrix_lists(
        [b.statuses for b in batches], rows, schema.field(STATUSES).type
    )
    columns[AGES] = _ages(batches, rows, schema.field(AGES).type)
    return columns


def matrix_lists(
    matrices: Sequence[NDArray[Any] | None], rows: NDArray[np.int64], kind: pa.DataType
) -> Any:
    """Return a list per row; null in batches without a matrix, which cost nothing.

    A masked element is null.
    """
    given = [matrix for matrix in matrices if matrix is not None]
    if not given:
        return pa.nulls(int(rows.sum()), kind)
    is_given = np.repeat(np.array([matrix is not None for matrix in matrices]), rows)
    lengths = is_given * given[0].shape[1]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    is_masked = any(isinstance(matrix, np.ma.MaskedArray) for matrix in given)
    joined = (np.ma.concatenate if is_masked else np.concatenate)(given)
    values = joined.reshape(-1)
    mask = np.ma.getmaskarray(values) if is_masked else None
    return pa.ListArray.from_arrays(
        pa.array(offsets),
        pa.array(np.asarray(values), kind.value_type, mask=mask),
        type=kind,
        mask=None if is_given.all() else pa.array(~is_given),
    )


def optional_lists(
    columns: Sequence[Sequence[Sequence[str]] | None], rows: NDArray[np.int64], kind: pa.DataType
) -> Any:
    """Return the texts of each row as a list; null for none."""
    if all(column is None for column in columns):
        return pa.nulls(int(rows.sum()), kind)
    return pa.array(
        [
            value or None
            for column, count in zip(columns, rows.tolist(), strict=True)
            for value in (column if column is not None else [None] * count)
        ],
        kind,
    )


def output_lists(
    batches: Sequence[ScoreBatchLog], rows: NDArray[np.int64], kind: pa.DataType
) -> Any:
    """Return the further outputs of each row; null where there are none, or a rule decided."""
    if not any(batch.outputs for batch in batches):
        return pa.nulls(int(rows.sum()), kind)
    found: list[list[dict[str, Any]] | None] = []
    for batch in batches:
        values = [(name, each.reshape(len(each), -1).tolist()) for name, each in batch.outputs]
        rules = batch.rules or [""] * batch.rows
        found += [
            None
            if rule or not values
            else [{"name": name, "values": each[row]} for name, each in values]
            for row, rule in enumerate(rules)
        ]
    return pa.array(found, kind)


def _feature_lists(
    matrices: Sequence[NDArray[Any] | None],
    rows: NDArray[np.int64],
    kind: pa.DataType,
    of_list: FeatureList,
    ids: LoggedIds,
) -> Any:
    if of_list is FeatureList.DIGESTS:
        matrices = [None if matrix is None else _hashed(matrix, ids) for matrix in matrices]
    try:
        return matrix_lists(matrices, rows, kind)
    except pa.ArrowInvalid:
        if of_list is not FeatureList.TEXTS:
            raise
        return matrix_lists([_escaped(matrix) for matrix in matrices], rows, kind)


def _escaped(matrix: NDArray[Any] | None) -> NDArray[Any] | None:
    r"""Return texts of a store in UTF-8; a byte that is not becomes \xNN, and costs no row."""
    if matrix is None:
        return None
    texts = [each.decode(errors="backslashreplace") for each in matrix.reshape(-1).tolist()]
    return np.array(texts, dtype=object).reshape(matrix.shape)


def _hashed(matrix: NDArray[Any], ids: LoggedIds) -> NDArray[Any]:
    """Return the digests of values, in a form that no reader without the key can guess."""
    values = [
        each.decode(errors="surrogateescape") if isinstance(each, bytes) else repr(each)
        for each in matrix.reshape(-1).tolist()
    ]
    return np.array(ids.hashed(values), dtype=object).reshape(matrix.shape)


def _ages(batches: Sequence[ScoreBatchLog], rows: NDArray[np.int64], kind: pa.DataType) -> Any:
    """Return the ages of the records of each row; null without a record."""
    given = [b.features for b in batches if b.features is not None and b.features.listed.views]
    if len(given) < len(batches):
        return matrix_lists([_ages_of_batch(b) for b in batches], rows, kind)
    event_times_ms = np.concatenate([each.event_times_ms for each in given])
    read_at_ms = np.repeat(np.array([each.read_at_ms for each in given]), rows)
    ages_ms = _masked_ages(event_times_ms, read_at_ms[:, None])
    return matrix_lists([ages_ms], rows.sum(keepdims=True), kind)


def _ages_of_batch(batch: ScoreBatchLog) -> NDArray[Any] | None:
    features = batch.features
    if features is None or not features.listed.views:
        return None
    return _masked_ages(features.event_times_ms, features.read_at_ms)


def _masked_ages(
    event_times_ms: NDArray[np.int64], read_at_ms: NDArray[np.int64] | int
) -> NDArray[Any]:
    is_absent = event_times_ms == NO_RECORD_MS
    ages_ms: NDArray[Any] = read_at_ms - event_times_ms
    return np.ma.masked_array(ages_ms, is_absent) if is_absent.any() else ages_ms
