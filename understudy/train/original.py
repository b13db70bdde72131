"""The model as its library has it: its kind, its own answers, its parameters and seeds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from understudy.domain.canonical import exact_integer
from understudy.domain.errors import InvalidInputError
from understudy.provenance.estimator_facts import parameter_facts, parameters_of, seed_facts
from understudy.train.decisions.kinds import ModelKind, kind_of_classes
from understudy.train.parity import Predict

_SCIKIT_LIKE = frozenset(("sklearn", "lightgbm", "xgboost", "catboost"))


@dataclass(frozen=True, slots=True)
class Original:
    """A fitted model, with the facts that its class tells."""

    model: Any
    library: str  # import name of its library, e.g. "lightgbm"; "onnx" for a file
    kind: ModelKind
    classes: tuple[Any, ...]  # labels in the order of the probabilities; () for no classifier

    def predict_of(self, score_class: int | None) -> Predict | None:
        """Return the function that gives the library's own scores; None if there is none."""
        if not hasattr(self.model, "predict") or self.library not in _SCIKIT_LIKE:
            return None
        if not self.classes:
            predict: Predict = self.model.predict
            return predict
        column = 1 if score_class is None else score_class
        return lambda x: self.model.predict_proba(x)[:, column]


def original_of(model: Any, kind: str | None) -> Original:
    """Return the model with its kind.

    Args:
        model: a fitted estimator, a booster, a network, or an ONNX file.
        kind: binary, multiclass, regression or ranking, for a model whose class does not tell.

    Raises:
        InvalidInputError: the kind is unknown, contradicts the model, or has to be named.
    """
    library = library_of(model)
    classes = _classes_of(model) if library in _SCIKIT_LIKE else ()
    found = kind_of_classes(len(classes)) if classes else _kind_by_name(model, library)
    given = None if kind is None else _read_kind(kind)
    if found is None and given is None:
        read = f"None for a {type(model).__module__}.{type(model).__qualname__}"
        raise InvalidInputError.of("kind", read=read, accepted=f"one of {', '.join(ModelKind)}")
    # A regressor of relevance ranks; the metrics of its use count.
    ranks = (found, given) == (ModelKind.REGRESSION, ModelKind.RANKING)
    if found is not None and given not in {None, found} and not ranks:
        accepted = f"{found}, the model's own, or None"
        raise InvalidInputError.of("kind", read=kind, accepted=accepted)
    chosen = given or found
    return Original(model, library, chosen or ModelKind.REGRESSION, classes)


def library_of(model: Any) -> str:
    """Return the library of a model by its class, or by a base class for a network."""
    for each in type(model).__mro__:
        root = each.__module__.partition(".")[0]
        if root in _SCIKIT_LIKE or root in {"torch", "onnx"}:
            return root
    return "onnx" if isinstance(model, str | bytes) or hasattr(model, "read_bytes") else ""


def parameters_and_seeds(
    original: Original, parameters: Mapping[str, Any], seeds: Mapping[str, int]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the `parameters` and `seeds` groups of a record.

    Args:
        original: the model; one like those of scikit-learn tells its parameters.
        parameters: further ones, e.g. of the training of a network.
        seeds: further ones, e.g. of the split.
    """
    if hasattr(original.model, "get_params"):
        facts = parameter_facts(original.model)
        found = seed_facts(original.model, dict(seeds))
        return (parameters_of({**facts["values"], **parameters}) if parameters else facts), found
    named = type(original.model)
    values = {"estimator": f"{named.__module__}.{named.__qualname__}", **parameters}
    if original.library == "onnx":
        values = dict(parameters)
    exact = {name: exact_integer(seed) for name, seed in seeds.items()}
    return parameters_of(values), {"values": exact}


def _classes_of(model: Any) -> tuple[Any, ...]:
    if not hasattr(model, "predict_proba"):
        return ()
    return tuple(np.asarray(getattr(model, "classes_", ())).tolist())


def _kind_by_name(model: Any, library: str) -> ModelKind | None:
    if library not in _SCIKIT_LIKE:
        return None
    last = model.steps[-1][1] if hasattr(model, "steps") else model
    names = {each.__name__ for each in type(last).__mro__}
    if any(name.endswith("Ranker") for name in names):
        return ModelKind.RANKING
    if "Booster" in names or not hasattr(model, "get_params"):
        return None
    is_regressor = any("Regressor" in name or "RegressorMixin" in name for name in names)
    return ModelKind.REGRESSION if is_regressor else None


def _read_kind(kind: str) -> ModelKind:
    try:
        return ModelKind(kind)
    except ValueError as error:
        raise InvalidInputError.of(
            "kind", read=kind, accepted=f"one of {', '.join(ModelKind)}"
        ) from error
