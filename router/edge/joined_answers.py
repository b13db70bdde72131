"""One ScoreBatchResponse from those of the parts of a split call."""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from router.calls.call import Candidates
from understudy.domain.wire_counts import LENGTH_DELIMITED, places_by_tag
from understudy.scoring.v1 import scoring_pb2 as pb

ValueT = TypeVar("ValueT")

_RESULTS = pb.ScoreBatchResponse.DESCRIPTOR.fields_by_name["results"].number
_RESULTS_TAG = _RESULTS << 3 | LENGTH_DELIMITED
_MOST_OTHERS = 64  # more fields than a response has
_RANK = np.dtype([("is_failed", bool), ("score", np.float64), ("index", np.int64)])


class JoinedAnswer:
    """The answer of a whole call, made of those of its parts in any order of arrival.

    Every part is taken apart when it arrives. At the end only bytes are put together, because a
    call may have thousands of results, and nothing else runs meanwhile.
    """

    def __init__(self, parts: int, candidates: Candidates) -> None:
        self._is_ranked = candidates.is_sorted or candidates.top_k is not None
        self._is_ordered = self._is_ranked or bool(candidates.refused)
        self._top_k = candidates.top_k
        self._heads = [pb.ScoreBatchResponse() for _ in range(parts)]  # without results
        self._results: list[Sequence[bytes]] = [()] * parts  # fields of the message
        self._ranks = [np.empty(0, _RANK)] * parts

    def add(self, place: int, answer: bytes) -> None:
        """Take the answer of the part at `place`."""
        places, others = places_by_tag(
            answer, _RESULTS_TAG, most=len(answer), most_others=_MOST_OTHERS
        )
        head = b"".join(answer[begin:end] for begin, end in others)
        self._heads[place] = pb.ScoreBatchResponse.FromString(head)
        self._results[place] = [answer[begin:end] for begin, end in places]
        if self._is_ordered:
            results = pb.ScoreBatchResponse.FromString(answer).results
            self._ranks[place] = np.array([_rank(result) for result in results], _RANK)

    def whole(self) -> bytes | None:
        """Return the answer, its results in the requested order, once all parts are added.

        None if different versions or steps of the ladder answered the parts. Degradation is the
        worst level and the union of reasons and names; each time is the longest of the parts, and
        `batch_rows` the largest.
        """
        if len({_answerer(head) for head in self._heads}) > 1:
            return None
        degradation, timing = _worst(self._heads), _longest(self._heads)
        joined = self._heads[0]
        joined.degradation.CopyFrom(degradation)
        joined.timing.CopyFrom(timing)
        results = list(chain.from_iterable(self._results))
        if self._is_ordered:
            results = [results[at] for at in self._order().tolist()]
        return joined.SerializeToString() + b"".join(results)

    def _order(self) -> NDArray[np.intp]:
        ranks = np.concatenate(self._ranks)
        if not self._is_ranked:
            return np.argsort(ranks["index"], kind="stable")
        order = np.lexsort((ranks["index"], -ranks["score"], ranks["is_failed"]))
        scored = len(ranks) - int(ranks["is_failed"].sum())
        return np.concatenate((order[:scored][: self._top_k], order[scored:]))


def _rank(result: pb.CandidateResult) -> tuple[bool, float, int]:
    is_failed = result.HasField("error")
    return is_failed, 0.0 if is_failed else result.score, result.index


def _answerer(message: pb.ScoreBatchResponse) -> tuple[int, int]:
    level = message.degradation.level
    is_fallen = level > pb.DEGRADATION_LEVEL_FEATURES
    return message.served_by.version, level if is_fallen else pb.DEGRADATION_LEVEL_FULL


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
