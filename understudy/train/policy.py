"""The policy of a version: its defaults completed, and waivers for parts that do not apply."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any


def waiver(reason: str, *, approved_by: str, expires_on: date) -> dict[str, Any]:
    """Return the value of a waivable field that does not apply.

    Args:
        reason: why it does not apply.
        approved_by: a person other than the author.
        expires_on: from the day after on, the version gets no additional traffic.
    """
    return {
        "absent": True,
        "reason": reason,
        "approved_by": approved_by,
        "expires_on": expires_on.isoformat(),
    }


def completed_policy(
    defaults: Mapping[str, Any], given: Mapping[str, Any], today: date
) -> dict[str, Any]:
    """Return the `policy` group: the given values, then the defaults; the rest stays absent.

    A decision threshold that is not given is null, which the gate accepts of regressors and rankers.
    """
    values: dict[str, Any] = {"decision_threshold": None}
    values |= {name: value for name, value in defaults.items() if name != "revalidate_after_days"}
    days = defaults.get("revalidate_after_days")
    if days is not None:
        values["revalidate_by"] = today + timedelta(days=days)
    values |= {name: value for name, value in given.items() if value is not None}
    return values
