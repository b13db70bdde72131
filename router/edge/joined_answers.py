"""One ScoreBatchResponse from those of the parts of a split call."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from router.calls.call import Candidates
from understudy.scoring.v1 import scoring_pb2 as pb

ValueT = TypeVar("ValueT")


def join_answers(parts: Sequence[bytes], candidates: Candidates) -> bytes | None:
    """Return the answer of the whole call, its results in the requested order.

    None if different versions or steps of the ladder answered the parts. Degradation is the
    worst level and the union of reasons and names; each time is the longest of the parts, and
    `batch_rows` the largest.
    """
    messages = [pb.ScoreBatchResponse.FromString(part) for part in parts]
    if len({_answerer(message) for message in messages}) > 1:
        return None
    degradation, timing = _worst(messages), _longest(messages)
    joined = messages[0]
    for message in messages[1:]:
        joined.MergeFrom(message)  # appends its results, which follow in request order
    if candidates.is_sorted or candidates.top_k is not None or candidates.refused:
        results = _in_order(joined.results, candidates)
        del joined.results[:]
        joined.results.extend(results)
    joined.degradation.CopyFrom(degradation)
    joined.timing.CopyFrom(timing)
    return joined.SerializeToString()


def _answerer(message: pb.ScoreBatchResponse) -> tuple[int, int]:
    level = message.degradation.level
    is_fallen = level > pb.DEGRADATION_LEVEL_FEATURES
    return message.served_by.version, level if is_fallen else pb.DEGRADATION_LEVEL_FULL


def _in_order(
    results: Sequence[pb.CandidateResult], candidates: Candidates
) -> list[pb.CandidateResult]:
    if not candidates.is_sorted and candidates.top_k is None:
        return sorted(results, key=lambda result: result.index)
    scored = [result for result in results if not result.HasField("error")]
    failed = [result for result in results if result.HasField("error")]
    scored.sort(key=lambda result: (-result.score, result.index))
    failed.sort(key=lambda result: result.index)
    return scored[: candidates.top_k] + failed


def _worst(messages: Sequence[pb.ScoreBatchResponse]) -> pb.Degradation:
    told = [message.degradation for message in messages]
    return pb.Degradation(
        level=max(each.level for each in told),
        reasons=_union(each.reasons for each in told),
        defaulted_features=_union(each.defaulted_features for each in told),
        stale_features=_union(each.stale_features for each in told),
        missing_features=_union(each.missing_features for each in told),
    )


def _union(lists: Iterable[Iterable[ValueT]]) -> list[ValueT]:
    return list(dict.fromkeys(value for each in lists for value in each))


def _longest(messages: Sequence[pb.ScoreBatchResponse]) -> pb.Timing:
    return pb.Timing(
        **{
            field.name: max(getattr(message.timing, field.name) for message in messages)
            for field in pb.Timing.DESCRIPTOR.fields
        }
    )
