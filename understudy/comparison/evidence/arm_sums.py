"""The sums over units that measures of arms are made of, as a query over the table `assigned`."""

from understudy.domain.probabilities import LEAST_PROBABILITY

_OF_ROW = {
    "rows": "1",
    "weight": "weight",
    "score": "weight * score",
    "positive": "CASE WHEN score >= $threshold THEN weight ELSE 0 END",
    "degraded": "CASE WHEN level > 0 THEN weight ELSE 0 END",
    "fallen": "CASE WHEN level > 1 THEN weight ELSE 0 END",
    "total_us": "weight * total_us",
}
_LIKELY = f"greatest({LEAST_PROBABILITY!r}, least(1 - {LEAST_PROBABILITY!r}, score))"
_OF_OUTCOME = {
    "outcomes": "1",
    "outcome_weight": "weight",
    "outcome": "weight * label",
    "absolute": "weight * abs(score - label)",
    "squared": "weight * (score - label) ^ 2",
    "log_loss": f"-weight * (label * ln({_LIKELY}) + (1 - label) * ln(1 - {_LIKELY}))",
    "alarm": "CASE WHEN score >= $threshold THEN weight ELSE 0 END",
    "found": "CASE WHEN score >= $threshold THEN weight * label ELSE 0 END",
}
COLUMNS = (*_OF_ROW, *_OF_OUTCOME)
"""Names of the sums of one arm, in their order; all but the counts are weighted."""


def _columns() -> str:
    parts = []
    for side, arm in (("NOT is_challenger", "champion"), ("is_challenger", "challenger")):
        parts += [
            f"coalesce(sum({text}) FILTER ({side}), 0)::DOUBLE AS {arm}_{name}"
            for name, text in _OF_ROW.items()
        ]
        parts += [
            f"coalesce(sum({text}) FILTER ({side} AND label IS NOT NULL), 0)::DOUBLE AS {arm}_{name}"
            for name, text in _OF_OUTCOME.items()
        ]
    return ",\n           ".join(parts)


SUMS = f"""
    SELECT {_columns()}
    FROM (SELECT *, $threshold IS NULL AS has_none FROM assigned) GROUP BY unit ORDER BY unit
"""  # noqa: S608 - texts of ours
