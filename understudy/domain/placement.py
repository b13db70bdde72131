"""The placement of models on scorer hosts: what a host may run, and what a deployment asks of hosts."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from understudy.domain.errors import Fault, InvalidInputError, raise_any, repeats
from understudy.domain.versions import checked_model_name

MOST_LABELS = 32  # of a host, and of a deployment
MOST_PLACED_MODELS = 256  # named by a host
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.=/-]{0,62}")
_A_LABEL = "1 to 63 of letters, digits and '_.=/-', starting with a letter or digit"


@dataclass(frozen=True, slots=True)
class Placement:
    """The deployments that a host may run: of which models, and asking for which labels."""

    models: tuple[str, ...] = ()  # (): every model
    labels: tuple[str, ...] = ()  # that the host has

    def obstacle(self, model: str, asked_labels: Iterable[str]) -> str | None:
        """Return why the host may not run a model that asks for labels; None if it may."""
        if self.models and model not in self.models:
            return f"runs only {', '.join(self.models)}"
        if lacking := [label for label in asked_labels if label not in self.labels]:
            return f"lacks {', '.join(lacking)}; its labels: {', '.join(self.labels) or 'none'}"
        return None


ANY_MODEL = Placement()  # of a host without settings of its own: all that ask for no label


def checked_placement(models: Iterable[str], labels: Iterable[str]) -> Placement:
    """Return the placement of a host, its names in order.

    Raises:
        InvalidInputError: a model or a label is invalid or repeated, or there are too many.
    """
    placement = Placement(tuple(sorted(models)), tuple(sorted(labels)))
    raise_any(placement_faults(placement))
    return placement


def listed_names(text: str) -> tuple[str, ...]:
    """Return the names between the commas of a setting or an option; () for an empty text."""
    return tuple(name.strip() for name in text.split(",")) if text else ()


def placement_faults(placement: Placement) -> Iterator[Fault]:
    """Yield the faults of a host's placement."""
    if len(placement.models) > MOST_PLACED_MODELS:
        read = f"{len(placement.models)} models"
        yield Fault("models", read, f"at most {MOST_PLACED_MODELS}; none for all")
    for index, name in enumerate(placement.models):
        try:
            checked_model_name(name, f"models[{index}]")
        except InvalidInputError as error:
            yield from error.faults
    yield from repeats("models", placement.models)
    yield from label_faults("labels", placement.labels)


def label_faults(field: str, labels: tuple[str, ...]) -> Iterator[Fault]:
    """Yield the faults of labels of a host, or of those that a deployment asks for."""
    if len(labels) > MOST_LABELS:
        yield Fault(field, f"{len(labels)} labels", f"at most {MOST_LABELS}")
    for index, label in enumerate(labels):
        if not _LABEL.fullmatch(label):
            yield Fault(f"{field}[{index}]", repr(label[:80]), _A_LABEL)
    yield from repeats(field, labels)


def unplaced(
    model: str, asked_labels: tuple[str, ...], hosts: Mapping[str, Placement]
) -> str | None:
    """Return why no host may run a model, with the reason of each; None if one may, or none reports.

    Args:
        model: of the deployment.
        asked_labels: of the deployment.
        hosts: those that report, by name.
    """
    obstacles = {name: each.obstacle(model, asked_labels) for name, each in hosts.items()}
    if not hosts or None in obstacles.values():
        return None
    asks = f", which asks for {', '.join(asked_labels)}" if asked_labels else ""
    reasons = "; ".join(f"{name} {why}" for name, why in sorted(obstacles.items()))
    return f"no host runs {model}{asks}: {reasons}"
