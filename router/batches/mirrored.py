"""Copies of answered rows on their way to a shadow, and their log entries."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router.calls.answered import Served
from router.calls.call import Call
from router.calls.rows import candidate_ids_of, per_row, whole_calls
from understudy.domain.deployments import FULL_SHARE_BP, Arm, Shadow
from understudy.domain.features import FeatureStatus
from understudy.domain.snapshots import VersionSpec
from understudy.features.serving.assembly import AssemblyPlan
from understudy.logs.batches import ShadowBatchLog, ShadowStatus

RowMask = NDArray[np.bool_] | None  # None marks all rows
Tensors = tuple[NDArray[Any], ...]
_REPLACED = (  # a record's null is a fact, and no reason to refuse the row
    FeatureStatus.DEFAULTED,
    FeatureStatus.MISSING,
    FeatureStatus.UNREAD,
    FeatureStatus.UNREAD_DEFAULTED,
)


@dataclass(frozen=True, slots=True)
class Copy:
    """Rows of one answered batch on their way to the shadow."""

    shadow: Shadow  # as declared when the rows were offered
    calls: Sequence[Call]
    served: Served
    scores: NDArray[np.float64]  # that the callers received
    levels: NDArray[np.uint8] | None  # DegradationLevel of each row; None: every row is FULL
    tensors: Tensors | None  # None: the shadow reads other features and assembles its own
    offered_s: float  # monotonic
    at_us: int

    @property
    def rows(self) -> int:
        return len(self.scores)

    def restricted(self, keep: NDArray[np.bool_]) -> "Copy":
        """Return the copy with only the marked rows; rows of one call share their mark."""
        return replace(
            self,
            calls=calls_of(self.calls, keep),
            scores=self.scores[keep],
            levels=None if self.levels is None else self.levels[keep],
            tensors=None if self.tensors is None else tensors_of(self.tensors, keep),
        )


def reads_the_same(shadow: VersionSpec, champion: VersionSpec) -> bool:
    """Return whether the champion's tensors are also the shadow's."""
    return shadow.feature_set == champion.feature_set and _layout(shadow) == _layout(champion)


def _layout(spec: VersionSpec) -> tuple[object, ...]:
    """Return the facts that decide the place of each feature; equal ones mean equal tensors."""
    # The name of a single input decides nothing; those of several do.
    names = [tensor.name for tensor in spec.inputs] if len(spec.inputs) > 1 else []
    forms = [(tensor.datatype, tensor.shape[1:]) for tensor in spec.inputs]
    return names, forms, spec.column_inputs if names else ()


def tensors_of(tensors: Tensors, keep: NDArray[np.bool_] | None) -> Tensors:
    return tensors if keep is None else tuple(tensor[keep] for tensor in tensors)


def joined(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def calls_of(calls: Sequence[Call], keep: NDArray[np.bool_] | None) -> Sequence[Call]:
    if keep is None:
        return calls
    kept: list[Call] = []
    at = 0
    for call in calls:
        if keep[at]:  # all rows of a call share its request id, and so the decision
            kept.append(call)
        at += call.rows
    return kept


def both(
    first: NDArray[np.bool_] | None, second: NDArray[np.bool_] | None
) -> NDArray[np.bool_] | None:
    """Return the rows that both masks mark; None marks all rows."""
    if first is None or second is None:
        return second if first is None else first
    return first & second


def rows_without_defaults(
    calls: Sequence[Call], statuses: NDArray[np.uint8] | None
) -> NDArray[np.bool_] | None:
    """Return the marks of calls whose values are all known, shape (n,); None if all are.

    Args:
        calls: of a batch.
        statuses: shape (n, width) of FeatureStatus; None: all present.
    """
    if statuses is None:
        return None
    replaced = np.asarray(np.isin(statuses, _REPLACED).any(axis=1))
    return whole_calls(calls, ~replaced) if replaced.any() else None


def readable_rows(
    shadow: Shadow, plan: AssemblyPlan, calls: Sequence[Call], statuses: NDArray[np.uint8] | None
) -> RowMask:
    """Return the marks of calls that a shadow can be asked about, shape (n,); None if all are.

    It is never asked about a missing value that it would read as 0, and about defaults only if it
    does not refuse them.
    """
    known = rows_without_defaults(calls, statuses) if shadow.refuses_defaults else None
    incomplete = plan.incomplete_rows(statuses)
    return known if incomplete is None else both(known, whole_calls(calls, ~incomplete))


def restricted(copies: Sequence[Copy], keep: NDArray[np.bool_]) -> list[Copy]:
    """Return the copies with only the marked rows; rows of one call share their mark."""
    kept: list[Copy] = []
    at = 0
    for copy in copies:
        own = keep[at : at + copy.rows]
        at += copy.rows
        if own.any():
            kept.append(copy.restricted(own))
    return kept


def shadow_log(
    copies: Sequence[Copy],
    status: ShadowStatus,
    *,
    scores: NDArray[np.float64] | None = None,
    infer_us: int = 0,
) -> ShadowBatchLog:
    """Return the log of copies answered by one version: the shadow's scores, or their loss."""
    calls = [call for copy in copies for call in copy.calls]
    served = copies[0].served
    return ShadowBatchLog(
        model=served.model,
        shadow_version=copies[0].shadow.version,
        version=served.version,
        arm="challenger" if served.arm is Arm.CHALLENGER else "champion",
        revision=served.revision,
        deployment_digest=served.deployment_digest,
        lineage=served.lineage,
        sequence=served.sequence,
        at_us=copies[-1].at_us,
        request_ids=per_row([call.request_id for call in calls], calls),
        entity_ids=per_row([call.unit_key for call in calls], calls),
        candidate_ids=candidate_ids_of(calls),
        scores=joined([copy.scores for copy in copies]),
        levels=_levels(copies),
        shadow_scores=scores,
        status=status,
        inclusion_probability=copies[0].shadow.sample_bp / FULL_SHARE_BP,
        infer_us=infer_us,
    )


def _levels(copies: Sequence[Copy]) -> NDArray[np.uint8] | None:
    if all(copy.levels is None for copy in copies):
        return None
    return joined(
        [np.zeros(each.rows, np.uint8) if each.levels is None else each.levels for each in copies]
    )
