"""Facts from a scikit-learn estimator: resolved parameters and seeds."""

from math import isfinite
from numbers import Integral, Real
from typing import Any

from understudy.domain.canonical import canonical_json, digest_of_text, exact_integer


def parameter_facts(estimator: Any) -> dict[str, Any]:
    """Return the `parameters` group: every parameter, including defaults, and their digest."""
    values = {
        "estimator": _qualified_name(type(estimator)),
        **{
            name: _json_value(value)
            for name, value in sorted(estimator.get_params(deep=True).items())
        },
    }
    return {"values": values, "sha256": digest_of_text(canonical_json(values))}


def seed_facts(estimator: Any, others: dict[str, int] | None = None) -> dict[str, Any]:
    """Return the `seeds` group: every `random_state` that is an integer, and `others`.

    A `random_state` of None is not a seed and is left out: if no seed is left the gate asks.
    """
    found = {
        name: int(value)
        for name, value in estimator.get_params(deep=True).items()
        if name.rpartition("__")[2] == "random_state" and isinstance(value, Integral)
    }
    seeds = {**found, **(others or {})}
    return {"values": {name: exact_integer(seed) for name, seed in seeds.items()}}


def _json_value(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _json_value(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(each) for each in value]
    if value is None or isinstance(value, bool | str):
        return value
    return _number(value) if isinstance(value, Real) else _named(value)


def _number(value: Real) -> int | float | str:
    if isinstance(value, Integral):
        return exact_integer(int(value))
    number = float(value)
    return number if isfinite(number) else str(number)


def _named(value: Any) -> str:
    return _qualified_name(value if hasattr(value, "__qualname__") else type(value))


def _qualified_name(value: Any) -> str:
    return f"{value.__module__}.{value.__qualname__}"
