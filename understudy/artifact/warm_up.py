"""The warm-up of a model: runs of growing batches, within a limit on their time.

Its batches are larger than those of the check of independent rows, and a model may choose by the number
of rows. So each size is compared with the one before, at no other cost than a look at the answers.
"""

from collections.abc import Callable, Iterator
from time import perf_counter

from understudy.artifact.row_by_row import ServableModel
from understudy.artifact.row_independence import INDEPENDENT_ROWS, rows_apart
from understudy.artifact.sample import with_rows
from understudy.artifact.signature import Arrays
from understudy.domain.errors import Fault, InvalidInputError
from understudy.domain.versions import MODEL_FILE

_RUNS_OF_A_SIZE = 3
# Larger batches than those that fit are warmed up by their first callers. Two seconds are little
# beside a start, and enough for 256 rows of all but the slowest models.
LONGEST_WARM_UP_S = 2.0

Ran = Callable[[int, float], None]  # rows, seconds


def warm_up(
    model: ServableModel,
    sample: Arrays,
    most_rows: int,
    ran: Ran,
    *,
    now_s: Callable[[], float] = perf_counter,
) -> None:
    """Run batches of 1, 2, 4, ... rows of `sample`, up to `most_rows` and while time is left.

    Args:
        model: to run.
        sample: one array per input, of rows that the model has computed before.
        most_rows: rows of the largest batch; 1: the sample runs as it is.
        ran: receives rows and seconds of each run.
        now_s: monotonic clock.

    Raises:
        InvalidInputError: a batch of several rows fails, although each of them runs alone, or gives
            other answers than half of it.
        OverloadedError: there is not enough memory for a batch.
    """
    began_s = now_s()
    run_s = 0.0
    before: Arrays = ()
    for rows in _sizes(most_rows):
        # A batch of twice as many rows takes up to twice as long.
        if rows > 1 and now_s() - began_s + 2 * run_s * _RUNS_OF_A_SIZE > LONGEST_WARM_UP_S:
            return
        inputs = with_rows(sample, rows) if most_rows > 1 else sample
        answers: Arrays = ()
        for _ in range(_RUNS_OF_A_SIZE):
            started_s = now_s()
            try:
                answers = model.run(inputs, model.every_output)
            except InvalidInputError as error:
                if rows == 1:
                    raise
                read = f"a batch of {rows} rows fails: {error.faults[0].read}"
                raise InvalidInputError(
                    [Fault(f"{MODEL_FILE} rows", read, INDEPENDENT_ROWS)]
                ) from error
            run_s = now_s() - started_s
            ran(rows, run_s)
        if why := _changed(before, answers, rows):
            raise InvalidInputError([Fault(f"{MODEL_FILE} rows", why, INDEPENDENT_ROWS)])
        before = answers


def _changed(half: Arrays, whole: Arrays, rows: int) -> str:
    """Describe how rows depend on the size of their batch; "" if they do not.

    Args:
        half: answers to the first half of the batch; () if there was no smaller batch.
        whole: answers to the batch.
        rows: of the batch.
    """
    for before, after in zip(half, whole, strict=False):
        if after.shape != (2 * len(before), *before.shape[1:]):
            return f"an output of shape {after.shape} for {rows} rows, {before.shape[1:]} each"
        if wrong := rows_apart(after[: len(before)], before):
            return f"{wrong} of {rows // 2} rows have other answers in a batch of {rows} rows"
    return ""


def _sizes(most_rows: int) -> Iterator[int]:
    rows = 1
    while rows <= most_rows:
        yield rows
        rows *= 2
