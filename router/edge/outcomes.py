"""Outcomes: late ground truth from callers, checked and handed to the log, all of a call or none."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from math import isfinite

import numpy as np

from router.admission.turns import in_turns
from router.ports import Clocks
from understudy.control.wire_values import time_faults
from understudy.domain.errors import (
    MOST_FAULTS,
    Fault,
    InvalidInputError,
    NotFoundError,
    OverloadedError,
)
from understudy.logs.batches import LogBatch, OutcomeBatchLog
from understudy.runtime.open_streams import MOST_ID_CHARACTERS
from understudy.runtime.parsing_in_parts import Parted, PartedForm
from understudy.scoring.v1 import scoring_pb2 as pb

MOST_OUTCOMES = 10_000
_MOST_OTHER_FIELDS = 64
_OUTCOMES_PER_ROW = 16  # that take about as long as scoring a row
_RETRY_AFTER_MS = 500  # the log writes its queue at least four times a second
_FORM = PartedForm(
    pb.RecordOutcomesRequest,
    "outcomes",
    MOST_OUTCOMES,
    most_in_part={},
    most_others=_MOST_OTHER_FIELDS,
)


def rows_of_outcomes(outcomes: int) -> int:
    """Return the work of a call with that many outcomes, in rows, for the gate; at least 1."""
    return max(1, outcomes // _OUTCOMES_PER_ROW)


class OutcomeRecorder:
    """Takes the outcomes of calls. `log_together` accepts all batches or none."""

    def __init__(
        self,
        log_together: Callable[[Sequence[LogBatch]], bool],
        *,
        is_deployed: Callable[[str], bool],
        clocks: Clocks,
    ) -> None:
        self._log_together = log_together
        self._is_deployed = is_deployed
        self._clocks = clocks

    def open(self, received: bytes) -> Parted[pb.RecordOutcomesRequest]:
        """Return the request with its outcomes counted and not parsed.

        Raises:
            InvalidInputError: it has too many, or none, or the bytes are no message, or the first
                outcomes have `MOST_FAULTS` faults.
        """
        first = _FORM.first(received)
        if first is not None:
            places = enumerate(first.outcomes)
            found = (each for at, outcome in places for each in _faults(outcome, f"outcomes[{at}]"))
            if len(faults := list(islice(found, MOST_FAULTS))) == MOST_FAULTS:
                raise InvalidInputError(faults)  # before the others are counted
        parted = _FORM.open(received)
        if not parted.entries:
            raise InvalidInputError.of("outcomes", read=0, accepted=f"1 to {MOST_OUTCOMES}")
        return parted

    async def record(self, parted: Parted[pb.RecordOutcomesRequest], *, until_s: float) -> None:
        """Hand all outcomes to the log. `until_s`: the caller's deadline; monotonic.

        Raises:
            InvalidInputError: an outcome lacks its request id or model, its label is not finite,
                or its time is invalid.
            NotFoundError: a model is not deployed; names invented by a caller must open no files.
            OverloadedError: the queue of the log has no room for them; none was taken.
            DeadlinePassedError: reading took as long as the call has.
        """
        columns: dict[str, _Columns] = {}
        faults: list[Fault] = []
        place = 0
        at_us = round(self._clocks.utc_s() * 1e6)
        async for part in in_turns(parted.parts, self._clocks.monotonic_s, until_s=until_s):
            for outcome in part.outcomes:
                faults += _faults(outcome, f"outcomes[{place}]")
                place += 1
                if len(faults) >= MOST_FAULTS:
                    raise InvalidInputError(faults[:MOST_FAULTS])
                if outcome.model not in columns:
                    self._check_deployed(outcome.model)
                    columns[outcome.model] = _Columns()
                columns[outcome.model].add(outcome, at_us)
        if faults:
            raise InvalidInputError(faults)
        if not self._log_together([each.batch(model, at_us) for model, each in columns.items()]):
            raise OverloadedError(
                f"the queue of the log, which took none of the {parted.entries} outcomes,",
                retry_after_ms=_RETRY_AFTER_MS,
            )

    def _check_deployed(self, model: str) -> None:
        if model and not self._is_deployed(model):
            raise NotFoundError("deployment of model", model)


@dataclass(slots=True)
class _Columns:
    """The outcomes of one model."""

    request_ids: list[str] = field(default_factory=list)
    labels: list[float] = field(default_factory=list)
    observed_at_us: list[int] = field(default_factory=list)

    def add(self, outcome: pb.Outcome, at_us: int) -> None:
        self.request_ids.append(outcome.request_id)
        self.labels.append(outcome.label)
        time = outcome.observed_at
        is_set = outcome.HasField("observed_at")
        self.observed_at_us.append(
            time.seconds * 1_000_000 + time.nanos // 1_000 if is_set else at_us
        )

    def batch(self, model: str, at_us: int) -> OutcomeBatchLog:
        return OutcomeBatchLog(
            model=model,
            at_us=at_us,
            request_ids=self.request_ids,
            labels=np.array(self.labels),
            observed_at_us=np.array(self.observed_at_us, dtype=np.int64),
        )


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
