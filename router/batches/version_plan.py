"""The compiled plan of a version, and its result for a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from router.calls.call import Call
from router.calls.rows import calls_at
from understudy.domain.logged_features import LoggedFeatures
from understudy.domain.snapshots import VersionSpec
from understudy.features.serving.assembly import AssemblyPlan


@dataclass(frozen=True, slots=True)
class VersionPlan:
    """The compiled plan of a version: how its tensors are assembled."""

    spec: VersionSpec
    plan: AssemblyPlan


@dataclass(slots=True, eq=False)  # `Final` instead of frozen, created in a third of the time
class Prepared:
    """A batch with its features and the results of rules, before scoring; n rows."""

    calls: Final[Sequence[Call]]
    tensors: Final[tuple[NDArray[Any], ...]]  # in the order of the version's inputs, n rows each
    statuses: Final[NDArray[np.uint8] | None]  # (n, width) FeatureStatus; None: all present
    # (n,) index of the deciding rule; None: no rule decided
    rule_rows: Final[NDArray[np.int64] | None]
    gap: Final[str]  # why the feature store was not read; "" if it was
    features: Final[LoggedFeatures]  # the same values, for the log
    wrong_digests: Final[int]
    taken_s: Final[float]  # monotonic: when the batch left the queue
    ready_s: Final[float]  # monotonic: when all this was known

    def restricted(self, kept: NDArray[np.bool_]) -> Prepared:
        """Return the batch with only the marked rows; rows of one call share their mark."""
        return replace(
            self,
            calls=calls_at(self.calls, kept),
            tensors=tuple(np.ascontiguousarray(tensor[kept]) for tensor in self.tensors),
            statuses=None if self.statuses is None else self.statuses[kept],
            rule_rows=None if self.rule_rows is None else self.rule_rows[kept],
            features=self.features.chosen(kept),
        )
