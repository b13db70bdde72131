"""Outcomes: late ground truth from callers, checked and converted to columns."""

from collections.abc import Callable, Iterator
from math import isfinite

import numpy as np

from router.admission.admit import MOST_ID_CHARACTERS
from understudy.control.wire_values import time_faults
from understudy.domain.errors import Fault, InvalidInputError, NotFoundError, raise_any
from understudy.logs.batches import OutcomeBatchLog
from understudy.scoring.v1 import scoring_pb2 as pb

MOST_OUTCOMES = 10_000


def outcome_batches(
    request: pb.RecordOutcomesRequest, *, at_us: int, is_deployed: Callable[[str], bool]
) -> list[OutcomeBatchLog]:
    """Return the outcomes as one batch per model.

    Raises:
        InvalidInputError: an outcome lacks its request id or model, its label is not finite, or
            its time is invalid.
        NotFoundError: a model is not deployed; names invented by a caller must open no files.
    """
    if not 1 <= len(request.outcomes) <= MOST_OUTCOMES:
        raise InvalidInputError.of(
            "outcomes", read=len(request.outcomes), accepted=f"1 to {MOST_OUTCOMES}"
        )
    raise_any(
        fault
        for place, outcome in enumerate(request.outcomes)
        for fault in _faults(outcome, f"outcomes[{place}]")
    )
    by_model: dict[str, list[pb.Outcome]] = {}
    for outcome in request.outcomes:
        by_model.setdefault(outcome.model, []).append(outcome)
    for model in by_model:
        if not is_deployed(model):
            raise NotFoundError("deployment of model", model)
    return [
        OutcomeBatchLog(
            model=model,
            at_us=at_us,
            request_ids=[outcome.request_id for outcome in outcomes],
            labels=np.array([outcome.label for outcome in outcomes]),
            observed_at_us=np.array(
                [
                    outcome.observed_at.ToMicroseconds()
                    if outcome.HasField("observed_at")
                    else at_us
                    for outcome in outcomes
                ],
                dtype=np.int64,
            ),
        )
        for model, outcomes in by_model.items()
    ]


def _faults(outcome: pb.Outcome, path: str) -> Iterator[Fault]:
    if not outcome.model:
        yield Fault(f"{path}.model", "''", "a deployed model's name")
    if not 1 <= len(outcome.request_id) <= MOST_ID_CHARACTERS:
        read = f"{len(outcome.request_id)} characters"
        yield Fault(f"{path}.request_id", read, f"1 to {MOST_ID_CHARACTERS} characters")
    if not outcome.HasField("label"):
        yield Fault(f"{path}.label", "nothing", "a finite number")
    elif not isfinite(outcome.label):
        yield Fault(f"{path}.label", str(outcome.label), "a finite number")
    yield from time_faults(outcome.observed_at, f"{path}.observed_at")
