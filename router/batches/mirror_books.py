"""The books of one mirror: each offered row is counted, and logged, with its one outcome."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from router.batches.mirrored import Copy, RowMask, shadow_log
from understudy.logs.batches import ShadowBatchLog, ShadowStatus
from understudy.logs.ledger import MirrorLedger

_COUNT_OF = {
    ShadowStatus.OK: "ok",
    ShadowStatus.ERROR: "error",
    ShadowStatus.TIMEOUT: "timeout",
    ShadowStatus.SAMPLED_OUT: "sampled_out",
    ShadowStatus.QUEUE_FULL: "dropped_queue_full",
    ShadowStatus.EXPIRED: "dropped_expired",
    ShadowStatus.NOT_READY: "dropped_not_ready",
    ShadowStatus.DEFAULTED: "dropped_defaulted",
    ShadowStatus.AT_STOP: "dropped_at_stop",
}


class MirrorBooks:
    """Counts and logs the outcomes of rows. It outlives revisions: its ledger only grows."""

    def __init__(self, log: Callable[[ShadowBatchLog], bool]) -> None:
        self.ledger = MirrorLedger()
        self._log = log

    def offered(self, rows: int) -> None:
        self._count("offered", rows)

    def ended(
        self,
        copies: Sequence[Copy],
        status: ShadowStatus,
        *,
        scores: NDArray[np.float64] | None = None,
        infer_us: int = 0,
    ) -> None:
        """Book copies answered by one version; `scores`: of the shadow, None unless it is OK."""
        rows = sum(copy.rows for copy in copies)
        if rows:
            self._count(_COUNT_OF[status], rows)
            self._log(shadow_log(copies, status, scores=scores, infer_us=infer_us))

    def lost(self, copy: Copy, status: ShadowStatus, *, before: RowMask, after: RowMask) -> None:
        """Book the rows of `copy` that are marked before and not after; None marks all rows."""
        if after is not None:
            gone = ~after if before is None else before & ~after
            if gone.any():
                self.ended([copy.restricted(gone)], status)

    def _count(self, name: str, rows: int) -> None:
        self.ledger = replace(self.ledger, **{name: getattr(self.ledger, name) + rows})
