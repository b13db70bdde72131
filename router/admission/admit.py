"""Admission: a parsed request becomes a call, or one error that names all of its faults."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from router.calls.call import Arrival, Call, Candidates
from router.calls.progress import Progress
from router.decisions.budget import BudgetPolicy, answer_by_s
from router.revision.live_model import LiveModel
from router.revision.request_names import feature_faults
from understudy.domain.errors import MOST_FAULTS, Fault, InvalidInputError, NotFoundError
from understudy.domain.features import FeatureScalar
from understudy.runtime.open_streams import MOST_ID_CHARACTERS

_AN_ID_OR_NOTHING = f"1 to {MOST_ID_CHARACTERS} characters, or the field left out"


class Asked(NamedTuple):
    """The common part of both kinds of calls, as sent by the caller.

    A tuple, because there is one per request: a frozen dataclass takes three times as long to create.
    """

    model: str
    request_id: str | None  # None: the caller left it out
    unit_key: str | None
    entities: Mapping[str, str]
    features: Mapping[str, FeatureScalar]
    threshold: float | None = None
    outputs: Sequence[str] = ()
    include_digests: bool = False


@dataclass(frozen=True, slots=True)
class AskedCandidates:
    """The wishes of a ScoreBatch about its candidates."""

    entity: str
    count: int
    top_k: int | None  # None: all are kept
    is_sorted: bool


@dataclass(frozen=True, slots=True)
class Admission:
    """The first stage. Everything here runs per request, so it does as little as possible."""

    live: Mapping[str, LiveModel]  # by model name
    budget: BudgetPolicy
    now_s: Callable[[], float]
    new_request_id: Callable[[], str]
    most_candidates: int
    most_candidate_features: int  # of all candidates of a call

    def admit(self, asked: Asked, arrival: Arrival) -> Call:
        """Return the call of one unit.

        Raises:
            InvalidInputError: with all faults.
            NotFoundError: no deployment of that model.
        """
        live = self.live_of(asked.model)
        faults = _faults(asked, live, without=None)
        if faults:
            raise InvalidInputError(faults)
        return self._call(asked, live, arrival)

    def live_of(self, model: str) -> LiveModel:
        """Return the revision of a model that answers now.

        Raises:
            InvalidInputError: no model is named.
            NotFoundError: no deployment of that model.
        """
        live = self.live.get(model)
        if live is None:
            if not model:
                raise InvalidInputError.of("model", read=model, accepted="a deployed model's name")
            raise NotFoundError("deployment of model", model)
        return live

    def check_batch(self, asked: Asked, candidates: AskedCandidates) -> LiveModel:
        """Return the revision that would answer, before any candidate is read.

        Raises:
            InvalidInputError: with all faults of the request apart from its candidates.
            NotFoundError: no deployment of that model.
        """
        live = self.live_of(asked.model)
        faults = [
            *_faults(asked, live, without=candidates.entity),
            *self._candidate_faults(candidates, live),
        ]
        if faults:
            raise InvalidInputError(faults)
        return live

    def admit_batch(
        self, asked: Asked, live: LiveModel, candidates: Candidates, arrival: Arrival
    ) -> Call:
        """Return the call of checked candidates, which `live` answers."""
        return self._call(asked, live, arrival, candidates)

    def _call(
        self,
        asked: Asked,
        live: LiveModel,
        arrival: Arrival,
        candidates: Candidates | None = None,
    ) -> Call:
        arrived_s = arrival.arrived_s
        request_id = asked.request_id or self.new_request_id()
        unit_key = asked.unit_key or _unit_id(asked, live) or request_id
        seat = live.assigner.assign(unit_key)
        return Call(  # by position: keywords would take three times as long
            live,
            request_id,
            unit_key,
            seat,
            asked.entities,
            arrived_s,
            answer_by_s(self.budget, now_s=arrived_s, remaining_s=arrival.remaining_s),
            arrival.priority,
            arrival.answer,
            1 if candidates is None else len(candidates.ids),
            asked.features or None,
            asked.threshold,
            tuple(dict.fromkeys(asked.outputs)) if asked.outputs else (),
            asked.include_digests,
            candidates,
            None,  # no part of a split call
            arrival.trace,
            0.0 if arrival.trace is None else self.now_s(),
            Progress(tried_champion=live.goes_to_champion[seat]),
        )

    def _candidate_faults(self, candidates: AskedCandidates, live: LiveModel) -> list[Fault]:
        faults: list[Fault] = []
        count = candidates.count
        if not 1 <= count <= self.most_candidates:
            faults.append(Fault("candidates", f"{count}", f"1 to {self.most_candidates}"))
        if candidates.entity not in live.names.entity_types:
            accepted = _one_of(live.names.entity_types)
            faults.append(Fault.of("candidate_entity", read=candidates.entity, accepted=accepted))
        if candidates.top_k is not None and candidates.top_k < 1:
            faults.append(
                Fault("top_k", f"{candidates.top_k}", "at least 1; all are kept if it is left out")
            )
        return faults


def _faults(asked: Asked, live: LiveModel, *, without: str | None) -> list[Fault]:
    """Return the faults; `without` is the entity type that the candidates supply."""
    faults: list[Fault] = []
    if not (_is_id_or_absent(asked.request_id) and _is_id_or_absent(asked.unit_key)):
        faults += _id_faults(asked)
    for kind, name in asked.entities.items():
        if kind not in live.names.entity_types or not 1 <= len(name) <= MOST_ID_CHARACTERS:
            faults.append(_entity_fault(kind, name, live))
    for kind in live.names.required_entities:
        if kind not in asked.entities:
            faults += _missing_entities(asked, live, without)
            break
    if asked.features:
        faults += islice(feature_faults(asked.features, live.names), MOST_FAULTS)
    if asked.threshold is not None or asked.outputs:
        faults += _option_faults(asked, live.names.output_names)
    return faults


def _option_faults(asked: Asked, outputs: Sequence[str]) -> Iterator[Fault]:
    if asked.threshold is not None and not _is_finite(asked.threshold):
        yield Fault("decision_threshold", str(asked.threshold), "a finite number")
    for name in asked.outputs:
        if name not in outputs:
            yield Fault.of("outputs", read=name, accepted=_one_of(outputs))


def _id_faults(asked: Asked) -> list[Fault]:
    return [
        _too_long(field, text) if text else Fault(field, "''", _AN_ID_OR_NOTHING)
        for field, text in (("request_id", asked.request_id), ("unit_key", asked.unit_key))
        if text is not None and not _is_id_or_absent(text)
    ]


def _is_id_or_absent(text: str | None) -> bool:
    return text is None or 1 <= len(text) <= MOST_ID_CHARACTERS


def _entity_fault(kind: str, name: str, live: LiveModel) -> Fault:
    if kind not in live.names.entity_types:
        return Fault(f"entities[{kind}]", repr(name[:20]), _one_of(live.names.entity_types))
    if not name:
        return Fault(f"entities[{kind}]", "''", "an id that is not empty")
    return _too_long(f"entities[{kind}]", name)


def _missing_entities(asked: Asked, live: LiveModel, without: str | None) -> list[Fault]:
    # With request-time features a view may not be needed: its defaults are used then.
    if asked.features:
        return []
    return [
        Fault(f"entities[{kind}]", "nothing", "an id: features are read by it")
        for kind in live.names.required_entities
        if kind not in asked.entities and kind != without
    ]


def _unit_id(asked: Asked, live: LiveModel) -> str:
    for kind in live.names.unit_entities:
        if name := asked.entities.get(kind):
            return name
    return ""


def _too_long(field: str, text: str) -> Fault:
    return Fault(field, f"{len(text)} characters", f"at most {MOST_ID_CHARACTERS}")


def _one_of(names: Sequence[str]) -> str:
    return f"one of {', '.join(names)}" if names else "none: this model reads no stored features"


def _is_finite(value: float) -> bool:
    return value - value == 0.0
