"""The parts of a registry's state by model: looked up once for each state, not once for each model."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from router.revision.first_answers import FirstAnswers, reported_addresses
from understudy.domain.acting import ActingChampion
from understudy.domain.snapshots import Snapshot, VersionSpec
from understudy.domain.versions import VersionRef


@dataclass(slots=True)
class ModelFacts:
    """The parts of a state that concern one model, and what is known of its scorers."""

    specs: dict[VersionRef, VersionSpec] = field(default_factory=dict)
    reported: set[VersionRef] = field(default_factory=set)  # that have scorers said to be ready
    # Of these scorers those that have answered; of hosts that report first.
    addresses: dict[VersionRef, tuple[str, ...]] = field(default_factory=dict)
    foreign: set[int] = field(default_factory=set)  # of which a scorer loaded another artifact
    acting: ActingChampion | None = None  # as published


def facts_by_model(snapshot: Snapshot, first_answers: FirstAnswers) -> Mapping[str, ModelFacts]:
    """Return the parts of `snapshot`; empty ones for a model that it does not name."""
    facts: defaultdict[str, ModelFacts] = defaultdict(ModelFacts)
    for spec in snapshot.versions:
        facts[spec.ref.model].specs[spec.ref] = spec
    proven = first_answers.proven()
    for ref, addresses in reported_addresses(snapshot).items():
        facts[ref.model].reported.add(ref)
        if answering := tuple(each for each in addresses if (ref, each) in proven):
            facts[ref.model].addresses[ref] = answering
    for ref in first_answers.foreign():
        facts[ref.model].foreign.add(ref.number)
    for each in reversed(snapshot.acting):  # of several the first one counts
        facts[each.model].acting = each
    return facts
