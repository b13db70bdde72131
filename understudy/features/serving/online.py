"""The values of a feature set for many entities in one read, for programs other than the router."""

from collections.abc import Mapping, Sequence

from understudy.domain.errors import InvalidInputError
from understudy.domain.features import FeatureRef, FeatureScalar, FeatureView, KeyKind
from understudy.features.decisions.entity_keys import check_ids
from understudy.features.ports import FeatureStore, ViewRead
from understudy.features.serving.assembly import AssemblyPlan, compile_plan
from understudy.features.serving.feature_values import FeatureValues, column_specs, values_of


class OnlineFeatures:
    """Reads one feature set; compiled once and used for many batches."""

    def __init__(
        self, store: FeatureStore, feature_set: Sequence[FeatureRef], views: Sequence[FeatureView]
    ) -> None:
        """Compile the feature set.

        Raises:
            InvalidInputError: it does not fit `views`; all faults are reported.
        """
        self._store = store
        self._plan: AssemblyPlan = compile_plan(
            feature_set, views, column_specs(feature_set, views)
        )

    @property
    def entities(self) -> tuple[str, ...]:
        """The entity types whose ids are required."""
        return tuple(dict.fromkeys(view.entity for view in self._plan.views))

    async def get(
        self,
        entities: Mapping[str, Sequence[str | None]],
        *,
        request_features: Sequence[Mapping[str, FeatureScalar] | None] | None = None,
        now_s: float,
        timeout_s: float,
    ) -> FeatureValues:
        """Return the values of n rows, in one read of the store.

        Args:
            entities: n ids per entity type; None for a row without one.
            request_features: per row, values that override stored ones.
            now_s: UTC seconds since 1970, for staleness.
            timeout_s: limit on the read.

        Raises:
            InvalidInputError: an entity type is missing, the numbers of ids differ, an id does not
                fit the integer or bytes keys of a view, or a request-time value is invalid for
                its feature.
            UnavailableError: the store did not answer.
        """
        rows = self._rows(entities, request_features)
        for view in self._plan.views:
            if view.key is not KeyKind.TEXT:
                check_ids(view.key, entities[view.entity], field=f"entities.{view.entity}")
        faults = [
            fault
            for given in request_features or ()
            for fault in self._plan.check_request_features(given or {})
        ]
        if faults:
            raise InvalidInputError(faults)
        reads = [ViewRead(view, entities[view.entity]) for view in self._plan.views]
        records = await self._store.read(reads, timeout_s=timeout_s) if reads else []
        assembled = self._plan.assemble(records, request_features, now_s=now_s, rows=rows)
        return values_of(self._plan.names, assembled, rows)

    def _rows(
        self,
        entities: Mapping[str, Sequence[str | None]],
        request_features: Sequence[Mapping[str, FeatureScalar] | None] | None,
    ) -> int:
        if missing := [name for name in self.entities if name not in entities]:
            raise InvalidInputError.of(
                "entities", read=list(entities), accepted=f"also {', '.join(missing)}"
            )
        lengths = {len(entities[name]) for name in self.entities}
        if request_features is not None:
            lengths.add(len(request_features))
        if len(lengths) != 1:
            raise InvalidInputError.of(
                "entities",
                read=f"{sorted(lengths)} rows",
                accepted="the same number of rows for all",
            )
        return lengths.pop()
