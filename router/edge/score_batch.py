"""The reading of a ScoreBatch: its candidates in parts, with turns of other calls in between."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from router.admission.admit import Admission, Asked, AskedCandidates
from router.admission.candidates import CandidateChecks
from router.admission.turns import in_turns
from router.calls.call import Arrival, Call
from router.decisions.budget import answer_by_s
from router.edge.request_values import (
    ANY_TEXT,
    MOST_IN_A_REQUEST,
    check_sizes,
    scalars,
    text_of,
    texts,
)
from understudy.domain.errors import Fault, InvalidInputError
from understudy.domain.features import FeatureScalar
from understudy.runtime.parsing_in_parts import Parted, PartedForm
from understudy.scoring.v1 import scoring_pb2 as pb

_MOST_OTHER_FIELDS = 8_192
_MOST_UNTURNED = 1_000  # candidates
_ID_HEAD_BYTES = 2  # of an id of 1 to 127 bytes: field and length; of a longer one 3

_Part = tuple[Sequence[str], Sequence[Mapping[str, FeatureScalar]] | None]


class BatchReader:
    """Reads one large call at a time: several would lengthen each turn of the event loop."""

    def __init__(
        self, admission: Admission, *, most_values: int, now_s: Callable[[], float]
    ) -> None:
        """`most_values`: features of all candidates of a call."""
        self._admission = admission
        self._most_values = most_values
        self._now_s = now_s
        self._one_at_a_time = asyncio.Lock()
        self._form = PartedForm(
            pb.ScoreBatchRequest,
            "candidates",
            admission.most_candidates,
            most_in_part={
                **MOST_IN_A_REQUEST,
                "candidates.features": MOST_IN_A_REQUEST["features"],
            },
            most_others=_MOST_OTHER_FIELDS,
            most_bytes={
                **ANY_TEXT,
                **{f"candidates.{path}": most for path, most in ANY_TEXT.items()},
            },
        )

    def open(self, received: bytes) -> Parted[pb.ScoreBatchRequest]:
        """Return the request with its candidates counted and not parsed.

        Raises:
            InvalidInputError: it has too many values, or the bytes are no message, or its first
                `MOST_FAULTS` candidates are all faulty.
            NotFoundError: no deployment of the model that the first fields name.
        """
        first = self._form.first(received)
        if first is not None:
            # The model usually comes first, but it may come last as well.
            checks = CandidateChecks(self._admission.live_of(first.model) if first.model else None)
            for candidate in first.candidates:
                checks.add(candidate.id, scalars(candidate.features))
        return self._form.open(received)

    async def admit(self, parted: Parted[pb.ScoreBatchRequest], arrival: Arrival) -> Call:
        """Return the call.

        Raises:
            InvalidInputError: the request itself is faulty, or every candidate is.
            NotFoundError: no deployment of that model.
            DeadlinePassedError: reading took as long as the call has.
        """
        request = parted.message
        check_sizes(request, MOST_IN_A_REQUEST)
        asked = Asked(
            model=request.model,
            request_id=text_of(request, "request_id"),
            unit_key=text_of(request, "unit_key"),
            entities=texts(request.entities),
            features=scalars(request.features),
            threshold=(
                request.decision_threshold if request.HasField("decision_threshold") else None
            ),
            outputs=request.outputs,
            include_digests=request.include_digests,
        )
        wanted = AskedCandidates(
            entity=request.candidate_entity,
            count=parted.entries,
            top_k=request.top_k if request.HasField("top_k") else None,
            is_sorted=request.sort,
        )
        until_s = answer_by_s(
            self._admission.budget, now_s=arrival.arrived_s, remaining_s=arrival.remaining_s
        )
        live = self._admission.check_batch(asked, wanted)
        checks = CandidateChecks(live)
        if parted.entries > _MOST_UNTURNED:
            await asyncio.sleep(0)  # counting them has taken as long as a turn
        async with self._one_at_a_time:
            read: list[_Part] = []
            values = 0
            async for part in in_turns(parted.parts, self._now_s, until_s=until_s):
                names, features = _candidates_of(part)
                read.append((names, features))
                checks.add_all(names, features)
                if features is not None:
                    values += sum(map(len, features))
                    self._check_values(values)
            while (current := self._admission.check_batch(asked, wanted)) is not live:
                # Another revision meanwhile: a call is checked and answered under one.
                live, checks = current, CandidateChecks(current)
                async for names, features in in_turns(read, self._now_s, until_s=until_s):
                    checks.add_all(names, features)
        return self._admission.admit_batch(asked, live, checks.checked(wanted), arrival)

    def _check_values(self, values: int) -> None:
        if values > self._most_values:
            accepted = f"at most {self._most_values} in one message"
            raise InvalidInputError(
                [Fault("candidates.features", f"more than {self._most_values}", accepted)]
            )


def _candidates_of(part: pb.ScoreBatchRequest) -> _Part:
    """Return the names of the candidates of a part, and their features; None if no one has any."""
    candidates = list(part.candidates)
    names = [candidate.id for candidate in candidates]
    if _are_only_ids(candidates, names):
        return names, None
    given = [candidate.features for candidate in candidates]
    return names, [scalars(each) for each in given] if any(given) else None


def _are_only_ids(candidates: Sequence[pb.Candidate], names: Sequence[str]) -> bool:
    """Return whether the candidates are known to have an id and nothing else.

    Their size tells it: to look at each map of features takes three times as long as to read the ids.
    """
    least_bytes = len("".join(names).encode()) + _ID_HEAD_BYTES * len(names)
    return all(names) and sum(map(pb.Candidate.ByteSize, candidates)) == least_bytes
