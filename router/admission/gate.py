"""Admission by outstanding rows, with the adaptive limit, and bytes. The shell of `row_limit`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from router.decisions.priority import Priority
from router.decisions.row_limit import RowLimit, RowLimitPolicy, retry_after_ms, seen_rows
from understudy.domain.errors import OverloadedError


class Gate:
    """Counts rows in the router. `enter` and `leave` come in pairs, whatever happens in between."""

    def __init__(
        self, policy: RowLimitPolicy, now_s: Callable[[], float], *, most_bytes: int
    ) -> None:
        """`most_bytes`: of requests in the router, which are kept until they are answered."""
        self.limit = RowLimit(policy, float(policy.most_rows))
        self.outstanding_rows = 0
        self.outstanding_bytes = 0
        self._rows = [0 for _ in Priority]  # outstanding, by priority
        self.refused_rows = 0
        self._most_bytes = most_bytes
        self._now_s = now_s
        self._thresholds = self.limit.thresholds()
        self._mirror_threshold = self.limit.mirror_threshold()

    def enter(self, rows: int, priority: Priority, size_bytes: int = 0) -> None:
        """Count `rows` in, whose request has `size_bytes`.

        Raises:
            OverloadedError: the share of this priority is full, or the bytes are. A call that is
                larger than the limit may enter an empty router.
        """
        self.check_room(rows, priority, size_bytes)
        self.outstanding_rows += rows
        self.outstanding_bytes += size_bytes
        self._rows[priority] += rows

    def check_room(self, rows: int, priority: Priority, size_bytes: int = 0) -> None:
        """Return if `rows` could enter now; a large call checks for one row before it is read.

        Raises:
            OverloadedError: as in `enter`.
        """
        outstanding_rows = self.outstanding_rows
        if outstanding_rows and (
            (
                # No priority sees more rows than there are: nearly always that decides.
                outstanding_rows + rows > self._thresholds[priority]
                and seen_rows(self._rows, self._thresholds, priority) + rows
                > self._thresholds[priority]
            )
            or self.outstanding_bytes + size_bytes > self._most_bytes
        ):
            self.refused_rows += rows
            raise OverloadedError(
                "router",
                retry_after_ms=retry_after_ms(
                    outstanding_rows=outstanding_rows,
                    limit_rows=self.limit.rows,
                    wanted_queue_s=self.limit.policy.wanted_queue_s,
                ),
            )

    def leave(self, rows: int, priority: Priority, size_bytes: int = 0) -> None:
        self.outstanding_rows -= rows
        self.outstanding_bytes -= size_bytes
        self._rows[priority] -= rows

    @contextmanager
    def holding(self, rows: int, priority: Priority, size_bytes: int) -> Iterator[None]:
        """Count `rows` in until the block ends. Raises the error of `enter`."""
        self.enter(rows, priority, size_bytes)
        try:
            yield
        finally:
            self.leave(rows, priority, size_bytes)

    def after_batch(self, queue_s: float, outstanding_rows: int) -> None:
        """Adapt the limit after a batch.

        Args:
            queue_s: wait of its middle row.
            outstanding_rows: rows in the router when it was answered, including itself.
        """
        after = self.limit.after_batch(
            queue_s=queue_s, outstanding_rows=outstanding_rows, now_s=self._now_s()
        )
        if after is not self.limit:
            self.limit = after
            self._thresholds = after.thresholds()
            self._mirror_threshold = after.mirror_threshold()

    def is_shedding_mirrors(self, outstanding_rows: int) -> bool:
        """Return whether shadow work must give way to live work, with this many rows."""
        return outstanding_rows > self._mirror_threshold
