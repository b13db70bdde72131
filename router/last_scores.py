"""The last score of each unit, for the ladder. Bounded; the oldest remembered goes first."""

from collections import OrderedDict


class LastScores:
    def __init__(self, most_units: int) -> None:
        self._most_units = most_units
        self._scores: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()

    def remember(self, model: str, unit_key: str, score: float, *, now_s: float) -> None:
        key = (model, unit_key)
        self._scores[key] = (score, now_s)
        self._scores.move_to_end(key)
        if len(self._scores) > self._most_units:
            self._scores.popitem(last=False)

    def find(self, model: str, unit_key: str, *, max_age_s: float, now_s: float) -> float | None:
        """Return the score if it is not older than `max_age_s`."""
        found = self._scores.get((model, unit_key))
        if found is None or now_s - found[1] > max_age_s:
            return None
        return found[0]
