"""Rules before the model: simple comparisons over feature columns, for a whole batch."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from understudy.domain.deployments import Rule, RuleOperator

_COMPARE: Mapping[RuleOperator, Callable[[Any, Any], Any]] = {
    RuleOperator.GREATER: np.greater,
    RuleOperator.AT_LEAST: np.greater_equal,
    RuleOperator.LESS: np.less,
    RuleOperator.AT_MOST: np.less_equal,
    RuleOperator.EQUAL: np.equal,
    RuleOperator.UNEQUAL: np.not_equal,
}
NO_RULE = -1


def first_matching_rule(
    rules: Sequence[Rule], columns: Mapping[str, NDArray[Any]], rows: int
) -> NDArray[np.int64]:
    """Return for each row the index of the first matching rule, or `NO_RULE`.

    Args:
        rules: in the order of the deployment; the first match decides.
        columns: values by feature name, each of shape (rows,), numeric. A rule whose feature is
            missing, or whose value is NaN, does not match.
        rows: number of rows.
    """
    decided = np.full(rows, NO_RULE, dtype=np.int64)
    for index, rule in enumerate(rules):
        column = columns.get(rule.feature)
        if column is None:
            continue
        # NaN != x is true in IEEE 754, but a missing value must not decide.
        holds = _COMPARE[rule.operator](column, rule.value) & ~np.isnan(column)
        decided[(decided == NO_RULE) & holds] = index
    return decided
