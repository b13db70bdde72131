"""Assembly of packed records into a model's tensors, a batch at a time, by a compiled plan."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

from understudy.domain.errors import Fault
from understudy.domain.features import (
    EMPTY_STATUSES,
    Feature,
    FeatureRef,
    FeatureView,
    LogPolicy,
    strictest,
)
from understudy.domain.versions import DYNAMIC, TensorSpec
from understudy.features.decisions.column_moves import targets_of
from understudy.features.decisions.feature_columns import (
    FeatureColumn,
    column_names,
    columns_of,
    places_by_name,
    shortened,
)
from understudy.features.decisions.request_features import fault_of_value
from understudy.features.decisions.statuses import (
    computed_statuses,
)
from understudy.features.decisions.tensor_columns import (
    TensorColumns,
    columns_without_absence,
    lay_out,
)
from understudy.features.serving.computed import ComputedFeature, compile_computed, compute
from understudy.features.serving.request_values import RequestColumns, RequestFeatures
from understudy.features.serving.stored_columns import (
    Assembled,
    LastKnownRows,
    Statuses,
    StoredColumns,
    Tensor,
)
from understudy.features.serving.tensor_reader import TensorReader


class AssemblyPlan:
    """The plan for assembling the inputs of one version, compiled by `compile_plan`."""

    def __init__(
        self,
        views: tuple[FeatureView, ...],
        columns: Sequence[FeatureColumn],
        tensors: Sequence[TensorColumns],
        *,
        computed: "ComputedColumns | None",
    ) -> None:
        refs = [column.ref for column in columns]
        self.views = views  # to be read in this order
        self.names = column_names(refs)  # of the columns, in the order of the feature set
        self.width = len(columns)
        self._features = [column.feature for column in columns]
        self._tensors = tensors
        self._targets = targets_of(tensors)
        self.log_policies = _log_policies(columns, computed)
        # Of the tensors that it assembles.
        self.reader = TensorReader(
            self._targets, tensors, self.names, map(str, views), self.log_policies
        )
        self._stored = StoredColumns(views, columns, tensors, self._targets)
        self._must_be_known = [*columns_without_absence(tensors, self._features)]
        self._place_of = places_by_name(refs)
        self._requested = RequestColumns(
            self._place_of, self._features, self._targets, self._stored.defaults
        )
        self._computed = computed
        self._has_flat_tensors = any(tensor.is_flat for tensor in tensors)

    def check_request_features(self, features: RequestFeatures) -> tuple[Fault, ...]:
        """Return the faults of features that a request supplies."""
        return tuple(self._request_faults(features))

    def place_of(self, name: str) -> int | None:
        """Return the index of the column with this unambiguous name, or None."""
        return self._place_of.get(name)

    def incomplete_rows(self, statuses: Statuses | None) -> npt.NDArray[np.bool_] | None:
        """Return the rows with a missing value that the model would read as 0; None if there is none.

        Args:
            statuses: of the assembled batch, shape (n, width); None: every value is present.
        """
        if statuses is None or not self._must_be_known:
            return None
        missing = np.isin(statuses[:, self._must_be_known], list(EMPTY_STATUSES))
        rows = np.asarray(missing.any(axis=1))
        return rows if rows.any() else None

    def takes_from_request(self, name: str) -> bool:
        """Return whether a request may supply a feature of this name."""
        return self._request_feature(name) is not None

    def assemble(
        self,
        records: Sequence[Sequence[bytes | None]],
        request_features: Sequence[RequestFeatures | None] | None,
        *,
        now_s: float | npt.NDArray[np.float64],
        last_known: LastKnownRows | None = None,
        rows: int | None = None,
    ) -> Assembled:
        """Return the tensors of a batch of n rows.

        Args:
            records: per view of `views`, n packed records; None if there is none, b"" if the store
                did not answer.
            request_features: per row, values that override stored ones and have passed
                `check_request_features`. None: no row has any.
            now_s: UTC seconds since 1970, for staleness. One time for the batch,
                or shape (n,), as history needs.
            last_known: per view, shape (n,): rows whose record comes from memory and not from
                the store. None: no such row.
            rows: n; needed only if neither records nor request features give it.
        """
        if rows is None:
            rows = len(records[0]) if records else len(request_features or ())
        if last_known is not None and all(mask is None for mask in last_known):
            last_known = None
        stored = self._stored.read(records, now_s, last_known, rows)
        tensors, statuses = stored.tensors, stored.statuses
        if self._computed is not None and statuses is not None:
            inputs = self._computed.read(records, request_features, now_s, last_known, rows)
            self._compute(self._computed, inputs, tensors, statuses, now_s)
        if request_features is not None:
            statuses = self._requested.override(tensors, statuses, request_features)
        if statuses is not None and not statuses.any():
            statuses = None
        if self._has_flat_tensors:
            tensors = tuple(
                tensor.reshape(rows) if plan.is_flat else tensor
                for tensor, plan in zip(tensors, self._tensors, strict=True)
            )
        return Assembled(tensors, statuses, stored.event_times_ms, stored.wrong_digests)

    def _compute(
        self,
        computed: "ComputedColumns",
        inputs: Assembled,
        tensors: Sequence[Tensor],
        statuses: Statuses,
        now_s: float | npt.NDArray[np.float64],
    ) -> None:
        matrix = cast("npt.NDArray[np.float64]", inputs.tensors[0])
        of_inputs = inputs.statuses
        if of_inputs is None:
            of_inputs = np.zeros(matrix.shape, dtype=np.uint8)
        for feature in computed.features:
            values = compute(feature, matrix, now_s=now_s)
            there = ~np.isnan(values)
            target = self._targets[feature.place]
            tensors[target.tensor][there, target.column] = values[there]
            read = [place for _, place in feature.inputs]
            statuses[:, feature.place] = computed_statuses(
                self._features[feature.place], of_inputs[:, read], is_there=there
            )

    def _request_faults(self, features: RequestFeatures) -> Iterator[Fault]:
        for name, value in features.items():
            feature = self._request_feature(name)
            if feature is None:
                yield Fault(f"features.{name}", "no feature of this model", shortened(self.names))
                continue
            accepted = fault_of_value(feature.dtype, value)
            if accepted is not None:
                yield Fault(f"features.{name}", repr(value)[:80], accepted)

    def _request_feature(self, name: str) -> Feature | None:
        place = self._place_of.get(name)
        if place is not None:
            return self._features[place]
        return None if self._computed is None else self._computed.plan._request_feature(name)  # noqa: SLF001 - same class


def _log_policies(
    columns: Sequence[FeatureColumn], computed: "ComputedColumns | None"
) -> tuple[LogPolicy, ...]:
    """Return the policy of each column: a computed value says no more of its inputs than the log may."""
    policies = [column.feature.log for column in columns]
    if computed is None:
        return tuple(policies)
    for feature in computed.features:
        inputs = (computed.plan.log_policies[place] for _, place in feature.inputs)
        policies[feature.place] = strictest([policies[feature.place], *inputs])
    return tuple(policies)


def compile_plan(
    feature_set: Sequence[FeatureRef],
    views: Sequence[FeatureView],
    inputs: Sequence[TensorSpec],
    column_inputs: Sequence[str] = (),
) -> AssemblyPlan:
    """Return the plan for a model that reads `feature_set` through `inputs`.

    Args:
        feature_set: in the order of the model's columns.
        views: that define the features.
        inputs: of the model, in its order.
        column_inputs: name of the input of each feature, "" where none is declared; see `lay_out`.

    Raises:
        InvalidInputError: a feature has no view, or does not fit its input; all faults reported.
    """
    columns = columns_of(feature_set, views)
    tensors = lay_out(inputs, feature_set, [column.feature for column in columns], column_inputs)
    computed, refs = compile_computed(columns, views)
    read = dict.fromkeys(column.view for column in columns if column.is_stored)
    if not computed:
        return AssemblyPlan(tuple(read), columns, tensors, computed=None)
    plan = compile_plan(refs, views, [TensorSpec("inputs", "FP64", (DYNAMIC, len(refs)))])
    read.update(dict.fromkeys(plan.views))
    all_read = tuple(read)
    places = tuple(all_read.index(view) for view in plan.views)
    return AssemblyPlan(
        all_read, columns, tensors, computed=ComputedColumns(computed, plan, places)
    )


@dataclass(frozen=True, slots=True, eq=False)
class ComputedColumns:
    """The computed columns of a feature set, and the plan that reads their inputs."""

    features: Sequence[ComputedFeature]
    plan: AssemblyPlan
    view_places: tuple[int, ...]  # of this plan's views, as indices into the outer plan's

    def read(
        self,
        records: Sequence[Sequence[bytes | None]],
        request_features: Sequence[RequestFeatures | None] | None,
        now_s: float | npt.NDArray[np.float64],
        last_known: LastKnownRows | None,
        rows: int,
    ) -> Assembled:
        """Return the inputs of the expressions: one tensor, shape (n, inputs), NaN where missing."""
        return self.plan.assemble(
            [records[place] for place in self.view_places],
            request_features,
            now_s=now_s,
            last_known=last_known and [last_known[place] for place in self.view_places],
            rows=rows,
        )
