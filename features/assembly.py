"""From packed records to a model's tensors, a batch at a time, by a plan compiled once."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from domain.errors import Fault, InvalidInputError
from domain.features import Feature, FeatureRef, FeatureScalar, FeatureStatus, FeatureView
from domain.versions import TensorSpec
from features.decisions.column_moves import Source, Target, may_overflow, plan_moves
from features.decisions.record_decoding import DecodedRecords, decode
from features.decisions.record_format import record_format
from features.decisions.request_features import fault_of_value
from features.decisions.statuses import (
    ViewStatuses,
    has_stale_values,
    statuses_of,
    view_statuses,
)
from features.decisions.tensor_columns import ARRAY_DTYPES, TensorColumns, column_names, lay_out

Tensor = npt.NDArray[np.generic]
Statuses = npt.NDArray[np.uint8]
RequestFeatures = Mapping[str, FeatureScalar]

_NOTHING: RequestFeatures = {}
_SHOWN_NAMES = 12


@dataclass(frozen=True, slots=True, eq=False)
class Assembled:
    """A batch in the form that its model reads."""

    tensors: tuple[Tensor, ...]  # in the order of the model's inputs, C-contiguous
    statuses: Statuses | None  # FeatureStatus, shape (n, width); None: every value is PRESENT
    wrong_digests: int = 0  # records written under another definition; taken as missing


class AssemblyPlan:
    """How to assemble the inputs of one version. Compile it with `compile_plan`."""

    def __init__(
        self,
        views: tuple[FeatureView, ...],
        names: tuple[str, ...],
        features: Sequence[Feature],
        *,
        sources: Sequence[Source],
        tensors: Sequence[TensorColumns],
    ) -> None:
        self.views = views  # to read, in this order
        self.names = names  # of the columns, in the order of the feature set
        self.width = len(names)
        self._features = features
        self._tensors = tensors
        self._places = [np.array(tensor.places, dtype=np.intp) for tensor in tensors]
        self._targets = _targets(tensors)
        self._moves, self._text_moves = plan_moves(views, sources, self._targets)
        self._may_overflow = may_overflow(self._moves, [tensor.datatype for tensor in tensors])
        self._formats = [record_format(view) for view in views]
        self._rules = [
            _rules_of(number, view, sources, features) for number, view in enumerate(views)
        ]
        self._defaults = [_defaults_of(tensor, features) for tensor in tensors]
        self._place_of = {name: place for place, name in enumerate(names)}

    def check_request_features(self, features: RequestFeatures) -> tuple[Fault, ...]:
        """Return what keeps the features of a request from standing in a row."""
        return tuple(self._request_faults(features))

    def assemble(
        self,
        records: Sequence[Sequence[bytes | None]],
        request_features: Sequence[RequestFeatures | None] | None,
        *,
        now_s: float,
        last_known: Sequence[npt.NDArray[np.bool_] | None] | None = None,
    ) -> Assembled:
        """Return the tensors of a batch of n rows.

        Args:
            records: per view of `views`, n packed records; None or b"" where there is none.
            request_features: per row, the values that win over stored ones; checked before by
                `check_request_features`. None: no row has any.
            now_s: UTC, seconds since 1970; staleness is measured against it.
            last_known: per view, shape (n,): rows whose record is not from the store but from
                memory. None: no such row.
        """
        rows = len(records[0]) if records else len(request_features or ())
        decoded = [decode(form, batch) for form, batch in zip(self._formats, records, strict=True)]
        tensors = self._values(decoded, rows)
        statuses = self._statuses(tensors, decoded, round(now_s * 1000), last_known)
        if request_features is not None:
            statuses = self._override(tensors, statuses, request_features)
        shaped = tuple(
            tensor.reshape(rows) if plan.is_flat else tensor
            for tensor, plan in zip(tensors, self._tensors, strict=True)
        )
        if statuses is not None and not statuses.any():
            statuses = None
        return Assembled(shaped, statuses, sum([each.wrong_digests for each in decoded]))

    def _values(self, decoded: Sequence[DecodedRecords], rows: int) -> list[Tensor]:
        tensors: list[Tensor] = [
            np.empty((rows, len(plan.places)), dtype=ARRAY_DTYPES[plan.datatype])
            for plan in self._tensors
        ]
        with self._casting():
            for move in self._moves:
                block = decoded[move.view].block(move.dtype)
                tensors[move.tensor][:, move.target] = block[:, move.source]
        for text in self._text_moves:
            tensors[text.tensor][:, text.column] = decoded[text.view].texts(text.string)
        return tensors

    def _casting(self) -> AbstractContextManager[object]:
        # A float64 beyond float32 becomes infinite, as in training; that is no warning.
        return np.errstate(over="ignore") if self._may_overflow else nullcontext()

    def _statuses(
        self,
        tensors: Sequence[Tensor],
        decoded: Sequence[DecodedRecords],
        now_ms: int,
        last_known: Sequence[npt.NDArray[np.bool_] | None] | None,
    ) -> Statuses | None:
        """Return the statuses, with defaults filled into `tensors`; None when all is present."""
        remembered = last_known or [None] * len(decoded)
        clean = [
            each.is_full and memory is None and not has_stale_values(rules, each, now_ms=now_ms)
            for rules, each, memory in zip(self._rules, decoded, remembered, strict=True)
        ]
        if all(clean):
            return None
        statuses = np.zeros((len(tensors[0]), self.width), dtype=np.uint8)
        for rules, each, memory, is_clean in zip(
            self._rules, decoded, remembered, clean, strict=True
        ):
            if not is_clean:
                statuses[:, rules.places] = statuses_of(
                    rules, each, now_ms=now_ms, last_known=memory
                )
        absent = statuses >= FeatureStatus.DEFAULTED
        absent &= statuses != FeatureStatus.LAST_KNOWN
        if absent.any():
            for tensor, places, defaults in zip(tensors, self._places, self._defaults, strict=True):
                np.copyto(tensor, defaults, where=absent[:, places])
        return statuses

    def _override(
        self,
        tensors: Sequence[Tensor],
        statuses: Statuses | None,
        request_features: Sequence[RequestFeatures | None],
    ) -> Statuses | None:
        given: dict[str, tuple[list[int], list[FeatureScalar | bytes]]] = {}
        for row, features in enumerate(request_features):
            for name, value in (features or _NOTHING).items():
                rows, values = given.setdefault(name, ([], []))
                rows.append(row)
                values.append(value.encode() if isinstance(value, str) else value)
        for name, (rows, values) in given.items():
            place = self._place_of.get(name)
            if place is None:
                continue
            if statuses is None:
                statuses = np.zeros((len(request_features), self.width), dtype=np.uint8)
            target = self._targets[place]
            tensors[target.tensor][rows, target.column] = values
            statuses[rows, place] = FeatureStatus.FROM_REQUEST
        return statuses

    def _request_faults(self, features: RequestFeatures) -> Iterator[Fault]:
        for name, value in features.items():
            place = self._place_of.get(name)
            if place is None:
                yield Fault(f"features.{name}", "no feature of this model", _shortened(self.names))
                continue
            accepted = fault_of_value(self._features[place].dtype, value)
            if accepted is not None:
                yield Fault(f"features.{name}", repr(value)[:80], accepted)


def compile_plan(
    feature_set: Sequence[FeatureRef],
    views: Sequence[FeatureView],
    inputs: Sequence[TensorSpec],
) -> AssemblyPlan:
    """Return the plan for a model that reads `feature_set` through `inputs`.

    Raises:
        InvalidInputError: a feature has no view here, or does not fit its input; with all faults.
    """
    sources, read = _sources_of(feature_set, views)
    features = [read[source.view].features[source.feature] for source in sources]
    return AssemblyPlan(
        read,
        column_names(feature_set),
        features,
        sources=sources,
        tensors=lay_out(inputs, feature_set, features),
    )


def _sources_of(
    feature_set: Sequence[FeatureRef], views: Sequence[FeatureView]
) -> tuple[list[Source], tuple[FeatureView, ...]]:
    by_name = {(view.name, view.version): view for view in views}
    read: dict[FeatureView, int] = {}
    sources: list[Source] = []
    faults: list[Fault] = []
    seen: set[FeatureRef] = set()
    for place, ref in enumerate(feature_set):
        view = by_name.get((ref.view, ref.view_version))
        names = [feature.name for feature in view.features] if view else []
        if view is None or ref.feature not in names:
            accepted = _shortened([str(each) for each in views] if view is None else names)
            faults.append(Fault(f"feature_set[{place}]", str(ref), accepted))
        elif ref in seen:
            faults.append(Fault(f"feature_set[{place}]", f"{ref} twice", "each feature once"))
        else:
            sources.append(Source(read.setdefault(view, len(read)), names.index(ref.feature)))
        seen.add(ref)
    if faults:
        raise InvalidInputError(faults)
    return sources, tuple(read)


def _targets(tensors: Sequence[TensorColumns]) -> list[Target]:
    at = {
        place: Target(number, column)
        for number, tensor in enumerate(tensors)
        for column, place in enumerate(tensor.places)
    }
    return [at[place] for place in range(len(at))]


def _rules_of(
    number: int, view: FeatureView, sources: Sequence[Source], features: Sequence[Feature]
) -> ViewStatuses:
    places = [place for place, source in enumerate(sources) if source.view == number]
    return view_statuses(view, places, [features[place] for place in places])


def _defaults_of(tensor: TensorColumns, features: Sequence[Feature]) -> Tensor:
    """Return what stands in for an absent value, per column of the tensor."""
    dtype = ARRAY_DTYPES[tensor.datatype]
    absent: FeatureScalar = float("nan") if dtype.kind == "f" else "" if dtype.kind == "O" else 0
    values = [features[place].default for place in tensor.places]
    chosen = [absent if value is None else value for value in values]
    return np.array(
        [value.encode() if isinstance(value, str) else value for value in chosen], dtype=dtype
    )


def _shortened(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN_NAMES])
    return f"{shown} and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else shown
