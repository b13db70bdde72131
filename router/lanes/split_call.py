"""The division of a large call into parts, so that single calls run between them.

The parts are calls like any other: each is queued, scored, logged and degraded separately. The
call is answered when its last part is; the first failure ends it. If different versions or
steps of the ladder answered the parts, they form no ranking: then the call is repeated as a
whole.
"""

from collections.abc import Callable
from dataclasses import replace

from router.batches.deliver import Joining
from router.calls.call import Answer, Call, Candidates
from router.calls.progress import Progress

Join = Callable[[int, Candidates], Joining]  # of so many parts


def split_call(
    call: Call, most_rows: int, join: Join, *, again: Callable[[Call], None]
) -> list[Call]:
    """Return `call` itself, or parts of at most `most_rows` candidates each.

    Args:
        call: a call that is not a ScoreBatch has no parts.
        most_rows: largest size of a part.
        join: begins to build the call's answer from those of the parts.
        again: takes the whole call.
    """
    candidates = call.candidates
    if candidates is None or call.rows <= most_rows:
        return [call]
    starts = range(0, call.rows, most_rows)
    whole = Whole(
        call.answer,
        len(starts),
        joining=join(len(starts), candidates),
        again=lambda: again(call),
    )
    return [
        replace(
            call,
            answer=Part(whole, place),
            rows=min(most_rows, call.rows - start),
            part=place,
            progress=Progress(tried_champion=call.progress.tried_champion),
            candidates=_part_of(candidates, start, start + most_rows),
        )
        for place, start in enumerate(starts)
    ]


def _part_of(candidates: Candidates, start: int, end: int) -> Candidates:
    features = candidates.features
    return replace(
        candidates,
        ids=candidates.ids[start:end],
        indices=candidates.indices[start:end],
        features=None if features is None else features[start:end],
        refused=candidates.refused if start == 0 else {},  # reported once
    )


class Whole:
    """The common state of parts: the answer of all, and the parts answered so far."""

    def __init__(
        self,
        answer: Answer,
        parts: int,
        *,
        joining: Joining,
        again: Callable[[], None],
    ) -> None:
        self.answer = answer
        self._left = parts
        self._joining = joining
        self._again = again

    def put(self, place: int, answer: bytes) -> None:
        if self.answer.done():
            return
        self._joining.add(place, answer)
        self._left -= 1
        if self._left:
            return
        joined = self._joining.whole()
        if joined is None:
            self._again()
        else:
            self.answer.set_result(joined)


class Part:
    """The destination of the answer of one part."""

    __slots__ = ("_is_set", "_place", "_whole")

    def __init__(self, whole: Whole, place: int) -> None:
        self._whole = whole
        self._place = place
        self._is_set = False

    def done(self) -> bool:
        return self._is_set or self._whole.answer.done()

    def set_result(self, result: bytes, /) -> None:
        self._is_set = True
        self._whole.put(self._place, result)

    def set_exception(self, exception: Exception, /) -> None:
        self._is_set = True
        if not self._whole.answer.done():
            self._whole.answer.set_exception(exception)
