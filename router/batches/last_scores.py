"""The last score of each set of entities, for the ladder. Bounded; the oldest is dropped first."""

from collections import OrderedDict

from router.calls.call import Call

_Key = tuple[str, tuple[tuple[str, str], ...]]


class LastScores:
    """Scores by model and entities, never by unit key, which a caller may choose freely.

    Scores that used request-time features are not kept: they are valid for that request only.
    """

    def __init__(self, most_units: int) -> None:
        self._most_units = most_units
        self._scores: OrderedDict[_Key, tuple[float, float]] = OrderedDict()

    def remember(self, call: Call, score: float, *, now_s: float) -> None:
        key = _key_of(call)
        self._scores[key] = (score, now_s)
        self._scores.move_to_end(key)
        if len(self._scores) > self._most_units:
            self._scores.popitem(last=False)

    def find(self, call: Call, *, max_age_s: float, now_s: float) -> float | None:
        """Return the score of the same entities if it is not older than `max_age_s`."""
        found = self._scores.get(_key_of(call))
        if found is None or call.features or now_s - found[1] > max_age_s:
            return None
        return found[0]


def _key_of(call: Call) -> _Key:
    return call.live.deployment.model, tuple(sorted(call.entities.items()))
