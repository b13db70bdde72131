"""The numbers of rows that are about to be removed, by writer."""

from collections import defaultdict

import pyarrow as pa

from understudy.logs.decisions.numbers import ranges_of
from understudy.logs.statements import NumbersByWriter

NUMBER_COLUMNS = ["writer_id", "writer_sequence"]


def numbers_of(rows: pa.Table) -> NumbersByWriter:
    """Return the numbers of rows of one log; the table has at least `NUMBER_COLUMNS`."""
    numbers: dict[str, list[int]] = defaultdict(list)
    writers = rows["writer_id"].to_pylist()
    for writer, number in zip(writers, rows["writer_sequence"].to_pylist(), strict=True):
        numbers[writer].append(number)
    return tuple((writer, ranges_of(each)) for writer, each in numbers.items())
