"""The numbers of statsmodels that `test_references.py` compares ours with, made once.

statsmodels brings pandas and patsy, which nothing else here needs, so that it is in no lock. In an
environment that has it, from the root of the repository:

    python tests/statistics/statsmodels_numbers.py

The scores stand in the file too, so that the numbers depend on no generator of random numbers.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

FILE = Path(__file__).with_suffix(".json")
ROWS, CUT, THRESHOLD, FIFTHS = 240, 100, 0.5, 5


def numbers() -> dict[str, Any]:
    """Return the scores, and the numbers that statsmodels makes of them."""
    import statsmodels  # noqa: PLC0415 - in no lock
    from statsmodels.stats import contingency_tables, multitest, proportion, weightstats  # noqa: PLC0415 - as above

    random = np.random.default_rng(3)
    champion = np.round(np.clip(random.normal(0.42, 0.25, ROWS), 0, 1), 2)
    shadow = np.round(np.clip(champion + random.normal(0.02, 0.12, ROWS), 0, 1), 2)
    was, would_be = champion >= THRESHOLD, shadow >= THRESHOLD
    table = [
        [int(np.sum((was == one) & (would_be == two))) for two in (False, True)]
        for one in (False, True)
    ]
    welch = weightstats.CompareMeans.from_data(shadow[CUT:], champion[:CUT])
    paired = weightstats.DescrStatsW(shadow - champion)
    fifths = [(shadow - champion)[np.arange(ROWS) % FIFTHS == each] for each in range(FIFTHS)]
    raw = [float(weightstats.DescrStatsW(each).ttest_mean()[1]) for each in fifths]
    return {
        "statsmodels": statsmodels.__version__,
        "champion": champion.tolist(),
        "shadow": shadow.tolist(),
        "mcnemar_exact_p": float(contingency_tables.mcnemar(table, exact=True).pvalue),
        "welch_interval": list(map(float, welch.tconfint_diff(usevar="unequal"))),
        "paired_interval": list(map(float, paired.tconfint_mean())),
        "exact_interval_17_of_80": _pair(proportion.proportion_confint(17, 80, method="beta")),
        "wilson_interval_17_of_80": _pair(proportion.proportion_confint(17, 80, method="wilson")),
        "wilson_interval_30_of_90": _pair(proportion.proportion_confint(30, 90, method="wilson")),
        "newcombe_interval_30_of_90_less_17_of_80": _pair(
            proportion.confint_proportions_2indep(30, 90, 17, 80, method="newcomb", compare="diff")
        ),
        "p_of_fifths": raw,
        "adjusted_p_of_fifths": list(map(float, multitest.multipletests(raw, method="fdr_by")[1])),
    }


def _pair(found: Any) -> list[float]:
    return [float(found[0]), float(found[1])]


if __name__ == "__main__":
    FILE.write_text(json.dumps(numbers(), indent=1) + "\n")
