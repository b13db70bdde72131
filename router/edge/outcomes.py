"""Outcomes: late ground truth from callers, checked and converted to columns."""

from collections.abc import Callable

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp

from router.admission.admit import MOST_ID_CHARACTERS
from understudy.domain.errors import InvalidInputError, NotFoundError
from understudy.logs.batches import OutcomeBatchLog
from understudy.scoring.v1 import scoring_pb2 as pb

_MOST_OUTCOMES = 10_000
_LATEST_S = 253_402_300_799  # the last second of 9999, the latest that protobuf defines
_MOST_NANOS = 999_999_999


def outcome_batches(
    request: pb.RecordOutcomesRequest, *, at_us: int, is_deployed: Callable[[str], bool]
) -> list[OutcomeBatchLog]:
    """Return the outcomes as one batch per model.

    Raises:
        InvalidInputError: an outcome lacks its request id or model, its label is not finite, or
            its time is invalid.
        NotFoundError: a model is not deployed; names invented by a caller must open no files.
    """
    if not 1 <= len(request.outcomes) <= _MOST_OUTCOMES:
        raise InvalidInputError.of(
            "outcomes", read=len(request.outcomes), accepted=f"1 to {_MOST_OUTCOMES}"
        )
    by_model: dict[str, list[pb.Outcome]] = {}
    for place, outcome in enumerate(request.outcomes):
        if not outcome.model or not 1 <= len(outcome.request_id) <= MOST_ID_CHARACTERS:
            raise InvalidInputError.of(
                f"outcomes[{place}]",
                read=f"model {outcome.model!r}, request_id of {len(outcome.request_id)} characters",
                accepted=f"a model, and a request_id of 1 to {MOST_ID_CHARACTERS}",
            )
        _check_time(f"outcomes[{place}].observed_at", outcome.observed_at)
        if not outcome.HasField("label"):
            raise InvalidInputError.of(
                f"outcomes[{place}].label", read=None, accepted="a finite number"
            )
        if not np.isfinite(outcome.label):
            raise InvalidInputError.of(
                f"outcomes[{place}].label", read=outcome.label, accepted="a finite number"
            )
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


def _check_time(field: str, time: Timestamp) -> None:
    if not 0 <= time.seconds <= _LATEST_S:
        raise InvalidInputError.of(
            f"{field}.seconds", read=time.seconds, accepted=f"0 to {_LATEST_S}: 1970 to 9999"
        )
    if not 0 <= time.nanos <= _MOST_NANOS:
        raise InvalidInputError.of(
            f"{field}.nanos", read=time.nanos, accepted=f"0 to {_MOST_NANOS}"
        )
