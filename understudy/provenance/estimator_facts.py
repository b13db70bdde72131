"""Facts from an estimator with the interface of scikit-learn: resolved parameters and seeds."""

from collections.abc import Mapping
from math import isfinite
from numbers import Integral, Real
from typing import Any

from understudy.domain.canonical import canonical_json, digest_of_text, exact_integer

_SEEDS = frozenset(("random_state", "random_seed", "seed"))  # of scikit-learn, CatBoost, XGBoost


def parameter_facts(estimator: Any) -> dict[str, Any]:
    """Return the `parameters` group: every parameter, including defaults, and their digest."""
    named = {"estimator": _qualified_name(type(estimator))}
    return parameters_of({**named, **dict(sorted(_parameters(estimator).items()))})


def parameters_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `parameters` group of these values; those that JSON lacks are written as names."""
    written = {name: _json_value(value) for name, value in values.items()}
    return {"values": written, "sha256": digest_of_text(canonical_json(written))}


def seed_facts(estimator: Any, others: dict[str, int] | None = None) -> dict[str, Any]:
    """Return the `seeds` group: every seed of the estimator that is an integer, and `others`.

    A seed of None is none and is left out: if no seed is left the gate asks.
    """
    found = {
        name: int(value)
        for name, value in _parameters(estimator).items()
        if name.rpartition("__")[2] in _SEEDS and isinstance(value, Integral)
    }
    seeds = {**found, **(others or {})}
    return {"values": {name: exact_integer(seed) for name, seed in seeds.items()}}


def _parameters(estimator: Any) -> dict[str, Any]:
    found: dict[str, Any] = estimator.get_params(deep=True)
    return found


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
