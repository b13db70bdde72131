"""The parts of a registry's state by model: looked up once for each state, not once for each model."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from router.revision.first_answers import reported_addresses
from understudy.domain.acting import ActingChampion
from understudy.domain.snapshots import Snapshot, VersionSpec
from understudy.domain.versions import VersionRef


@dataclass(slots=True)
class ModelFacts:
    """The parts of a state that concern one model."""

    specs: dict[VersionRef, VersionSpec] = field(default_factory=dict)
    # Of scorers said to be ready, those of hosts that report first.
    addresses: dict[VersionRef, tuple[str, ...]] = field(default_factory=dict)
    acting: ActingChampion | None = None  # as published


def facts_by_model(snapshot: Snapshot) -> Mapping[str, ModelFacts]:
    """Return the parts of `snapshot`; empty ones for a model that it does not name."""
    facts: defaultdict[str, ModelFacts] = defaultdict(ModelFacts)
    for spec in snapshot.versions:
        facts[spec.ref.model].specs[spec.ref] = spec
    for ref, addresses in reported_addresses(snapshot).items():
        facts[ref.model].addresses[ref] = addresses
    for each in reversed(snapshot.acting):  # of several the first one counts
        facts[each.model].acting = each
    return facts
