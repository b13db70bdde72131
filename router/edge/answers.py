"""The `Responder` port: a batch of answers converted to protobuf bytes, one for each caller."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from router.calls.answered import Answered, Served, level_of_call, reasons_of_call
from router.calls.call import Call, Candidates
from router.decisions.reasons import INCOMPLETE
from router.decisions.rules import NO_RULE
from router.edge.joined_answers import JoinedAnswer
from router.edge.wire_errors import error_message
from understudy.control.wire_enums import ARMS, LEVELS, REASONS
from understudy.domain.deployments import Arm, DegradationLevel, Deployment
from understudy.domain.errors import InvalidInputError, UnavailableError
from understudy.domain.features import FeatureStatus
from understudy.scoring.v1 import scoring_pb2 as pb

_LEVELS = [LEVELS[level] for level in sorted(LEVELS)]  # by number of DegradationLevel
_REASONS = {reason.value: number for reason, number in REASONS.items()}
_DEFAULTED = (FeatureStatus.DEFAULTED, FeatureStatus.UNREAD_DEFAULTED)
_MISSING = (FeatureStatus.MISSING, FeatureStatus.UNREAD)
_NOT_FINITE = UnavailableError("score", "the model's is not a finite number")
_INCOMPLETE = UnavailableError("score", INCOMPLETE)


class ProtobufResponder:
    """Reuses one message for a whole batch: only fields that differ are set per row."""

    def scatter(self, answered: Answered, deployment: Deployment, *, now_s: float) -> None:
        message = pb.ScoreResponse()
        timing = message.timing
        timing.fetch_us = answered.timing.fetch_us
        timing.infer_us = answered.timing.infer_us
        timing.batch_rows = answered.timing.rows
        message.degradation.level = pb.DEGRADATION_LEVEL_FULL
        plain = set_now = served_by(answered.served, None, digests=False)
        is_own = _own_seats(answered)
        default_threshold = deployment.decision_threshold
        message.served_by.CopyFrom(plain)
        is_plain = answered.levels is None and answered.rule_rows is None and not answered.outputs
        scores = answered.scores.tolist()
        taken_s = answered.timing.taken_s
        at = 0
        for call in answered.calls:
            arrived_s = call.arrived_s
            timing.queue_us = int((taken_s - arrived_s) * 1e6) if taken_s > arrived_s else 0
            timing.total_us = int((now_s - arrived_s) * 1e6)
            if call.candidates is not None:
                answer = _batch_answer(answered, deployment, call, at)
                answer.timing.CopyFrom(timing)
                call.answer.set_result(answer.SerializeToString())
            else:
                message.request_id = call.request_id
                message.score = score = scores[at]
                threshold = default_threshold if call.threshold is None else call.threshold
                message.decision = _decision(score, threshold)
                if is_own[call.seat] and not call.include_digests:
                    named = plain
                else:
                    named = _special_served_by(answered.served, call)
                if named is not set_now:
                    message.served_by.CopyFrom(named)
                    set_now = named
                if not is_plain:
                    _set_degradation(message.degradation, answered, call, at)
                    _set_rule(message, answered, deployment, at)
                    _set_outputs(message, answered, call.outputs, at)
                call.answer.set_result(message.SerializeToString())
            at += call.rows

    def join(self, parts: int, candidates: Candidates) -> JoinedAnswer:
        return JoinedAnswer(parts, candidates)


@lru_cache(maxsize=1024)
def served_by(served: Served, assigned: tuple[Arm, int] | None, *, digests: bool) -> pb.ServedBy:
    """Return the message; `assigned` is set if another arm had to answer."""
    message = pb.ServedBy(
        model=served.model,
        version=served.version,
        arm=ARMS[served.arm],
        revision=served.revision,
    )
    if assigned is not None and assigned[1] != served.version:
        message.assigned.arm = ARMS[assigned[0]]
        message.assigned.version = assigned[1]
    if digests:
        message.digests.artifact = served.artifact_digest
        message.digests.provenance = served.provenance_digest
        message.digests.deployment = served.deployment_digest
    return message


def _own_seats(answered: Answered) -> list[bool]:
    """Return for each seat of the revision whether its own version answered the batch."""
    version = answered.served.version
    return [seat.version == version for seat in answered.calls[0].live.seats]


def _special_served_by(served: Served, call: Call) -> pb.ServedBy:
    """Return the identity message of a call that another arm answered, or that asks for digests."""
    assigned = call.live.seats[call.seat]
    return served_by(served, (assigned.arm, assigned.version), digests=call.include_digests)


def _threshold(call: Call, deployment: Deployment) -> float | None:
    return call.threshold if call.threshold is not None else deployment.decision_threshold


def _decision(score: float, threshold: float | None) -> pb.Decision.ValueType:
    if threshold is None:
        return pb.DECISION_UNSPECIFIED
    return pb.DECISION_AT_OR_ABOVE if score >= threshold else pb.DECISION_BELOW


def _set_degradation(message: pb.Degradation, answered: Answered, call: Call, at: int) -> None:
    """Set the worst level of the rows of `call`, and the union of their reasons and names."""
    message.Clear()
    level = level_of_call(answered, call, at)
    message.level = LEVELS[level]
    if level is DegradationLevel.FULL:
        return
    message.reasons.extend(_REASONS[reason] for reason in reasons_of_call(answered, call, at))
    if answered.statuses is not None:
        _add_names(message, answered.feature_names, answered.statuses[at : at + call.rows])


def _add_names(message: pb.Degradation, names: Sequence[str], statuses: NDArray[np.uint8]) -> None:
    """Add each feature that any row lacks; `statuses`: shape (rows, width)."""
    is_stale = (statuses == FeatureStatus.STALE) | (statuses == FeatureStatus.LAST_KNOWN)
    for marked, field in (
        (np.isin(statuses, _DEFAULTED), message.defaulted_features),
        (is_stale, message.stale_features),
        (np.isin(statuses, _MISSING), message.missing_features),
    ):
        field.extend(names[place] for place in np.flatnonzero(marked.any(axis=0)).tolist())


def _set_rule(
    message: pb.ScoreResponse | pb.CandidateResult,
    answered: Answered,
    deployment: Deployment,
    row: int,
) -> None:
    index = NO_RULE if answered.rule_rows is None else int(answered.rule_rows[row])
    if index == NO_RULE:
        message.ClearField("rule")
    else:
        rule = deployment.rules[index]
        message.rule.name, message.rule.action = rule.name, rule.action


def _set_outputs(
    message: pb.ScoreResponse | pb.CandidateResult,
    answered: Answered,
    wanted: Sequence[str],
    row: int,
) -> None:
    message.ClearField("outputs")
    if answered.rule_rows is not None and answered.rule_rows[row] != NO_RULE:
        return  # no model scored it
    for name in wanted:
        values = answered.outputs.get(name)
        if values is not None:
            message.outputs.add(name=name, values=np.atleast_1d(values[row]).ravel().tolist())


def _batch_answer(
    answered: Answered, deployment: Deployment, call: Call, at: int
) -> pb.ScoreBatchResponse:
    assigned = call.live.seats[call.seat]
    message = pb.ScoreBatchResponse(
        request_id=call.request_id,
        served_by=served_by(
            answered.served, (assigned.arm, assigned.version), digests=call.include_digests
        ),
    )
    _add_results(message, answered, deployment, call, at)
    _set_degradation(message.degradation, answered, call, at)
    return message


def _add_results(
    message: pb.ScoreBatchResponse, answered: Answered, deployment: Deployment, call: Call, at: int
) -> None:
    """Add a result for each candidate that is kept, in the requested order.

    Each message is created in its place and filled field by field. A call may have thousands, and
    a message that is created elsewhere and copied takes more than twice as long.
    """
    candidates = call.candidates
    if candidates is None:
        raise AssertionError("only a ScoreBatch has candidates")
    scores = answered.scores[at : at + call.rows]
    is_finite = np.isfinite(scores)
    scored = np.flatnonzero(is_finite)
    is_ranked = candidates.is_sorted or candidates.top_k is not None
    if is_ranked:
        scored = scored[np.argsort(-scores[scored], kind="stable")]
    scored = scored[: candidates.top_k]
    rows = scored.tolist()
    _add_scored(message, candidates, rows, scores[scored].tolist())
    _set_details(message.results, answered, deployment, call, at + scored)
    incomplete = answered.incomplete
    if incomplete is not None:
        incomplete = incomplete[at : at + call.rows]
    failed = _failed(candidates, np.flatnonzero(~is_finite).tolist(), incomplete)
    message.results.extend(failed)
    if failed and not is_ranked:
        message.results.sort(key=_place)


def _set_details(
    results: Sequence[pb.CandidateResult],
    answered: Answered,
    deployment: Deployment,
    call: Call,
    rows: NDArray[np.intp],
) -> None:
    """Set the fields that most calls do not need, of the results of `rows` of the batch."""
    if answered.levels is not None:
        for result, level in zip(results, answered.levels[rows].tolist(), strict=True):
            result.level = _LEVELS[level]
    if (threshold := _threshold(call, deployment)) is not None:
        for result in results:
            result.decision = _decision(result.score, threshold)
    if answered.rule_rows is not None or call.outputs:
        for result, row in zip(results, rows.tolist(), strict=True):
            _set_rule(result, answered, deployment, row)
            _set_outputs(result, answered, call.outputs, row)


def _add_scored(
    message: pb.ScoreBatchResponse,
    candidates: Candidates,
    rows: Sequence[int],
    scores: Sequence[float],
) -> None:
    ids, indices, add = candidates.ids, candidates.indices, message.results.add
    for row, score in zip(rows, scores, strict=True):
        result = add()
        result.id = ids[row]
        result.index = indices[row]
        result.score = score
        result.level = pb.DEGRADATION_LEVEL_FULL


def _failed(
    candidates: Candidates, not_finite: Sequence[int], incomplete: NDArray[np.bool_] | None
) -> list[pb.CandidateResult]:
    """Return the results of candidates that have no score, in request order."""
    failed = [
        pb.CandidateResult(
            id=candidates.ids[row],
            index=candidates.indices[row],
            error=error_message(
                _NOT_FINITE if incomplete is None or not incomplete[row] else _INCOMPLETE
            ),
        )
        for row in not_finite
    ]
    failed += [
        pb.CandidateResult(id=name, index=place, error=error_message(InvalidInputError([fault])))
        for place, (name, fault) in candidates.refused.items()
    ]
    return sorted(failed, key=_place)


def _place(result: pb.CandidateResult) -> int:
    return result.index
