"""Who may enter: outstanding rows against the adaptive limit. The shell of `row_limit`."""

from collections.abc import Callable

from router.decisions.priority import Priority
from router.decisions.row_limit import RowLimit, RowLimitPolicy, retry_after_ms
from understudy.domain.errors import OverloadedError


class Gate:
    """Counts rows in the router. `enter` and `leave` come in pairs, whatever happens between."""

    def __init__(self, policy: RowLimitPolicy, now_s: Callable[[], float]) -> None:
        self.limit = RowLimit(policy, float(policy.most_rows))
        self.outstanding_rows = 0
        self.refused_rows = 0
        self._now_s = now_s
        self._thresholds = self.limit.thresholds()
        self._mirror_threshold = self.limit.mirror_threshold()

    def enter(self, rows: int, priority: Priority) -> None:
        """Count `rows` in.

        Raises:
            OverloadedError: the router holds as much as this priority may fill. A call that is
                larger than the limit enters when nothing else is there.
        """
        self.check_room(rows, priority)
        self.outstanding_rows += rows

    def check_room(self, rows: int, priority: Priority) -> None:
        """Return when `rows` could enter now; a large call asks for one before it is read.

        Raises:
            OverloadedError: as for `enter`.
        """
        if self.outstanding_rows and self.outstanding_rows + rows > self._thresholds[priority]:
            self.refused_rows += rows
            raise OverloadedError(
                "router",
                retry_after_ms=retry_after_ms(
                    outstanding_rows=self.outstanding_rows,
                    limit_rows=self.limit.rows,
                    wanted_queue_s=self.limit.policy.wanted_queue_s,
                ),
            )

    def leave(self, rows: int) -> None:
        self.outstanding_rows -= rows

    def after_batch(self, queue_s: float, outstanding_rows: int) -> None:
        """Move the limit by what a batch shows.

        Args:
            queue_s: how long its middle row waited.
            outstanding_rows: in the router when it was answered, itself included.
        """
        after = self.limit.after_batch(
            queue_s=queue_s, outstanding_rows=outstanding_rows, now_s=self._now_s()
        )
        if after is not self.limit:
            self.limit = after
            self._thresholds = after.thresholds()
            self._mirror_threshold = after.mirror_threshold()

    def is_shedding_mirrors(self, outstanding_rows: int) -> bool:
        """Whether shadow work must give way to live work, with so many rows in the router."""
        return outstanding_rows > self._mirror_threshold
