"""The mirror's ledger: every row offered to a shadow is accounted for."""

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorLedger:
    """Rows offered to one shadow, by outcome. Counts only grow.

    offered = sampled_out + dropped + sent + in flight;  sent = ok + error + timeout.
    """

    offered: int = 0
    sampled_out: int = 0  # by the shadow's sample rate
    dropped_queue_full: int = 0
    dropped_expired: int = 0  # waited longer than a mirrored row may wait
    dropped_not_ready: int = 0  # the shadow had no ready scorer
    dropped_defaulted: int = 0  # the shadow would have read a default, which it refuses
    dropped_at_stop: int = 0  # not sent before the time of a stop was over
    ok: int = 0
    error: int = 0
    timeout: int = 0

    def __post_init__(self) -> None:
        if any(getattr(self, field.name) < 0 for field in fields(self)):
            raise ValueError(f"a count is negative: {self}")

    @property
    def dropped(self) -> int:
        return (
            self.dropped_queue_full
            + self.dropped_expired
            + self.dropped_not_ready
            + self.dropped_defaulted
            + self.dropped_at_stop
        )

    @property
    def sent(self) -> int:
        """Rows with an answer or a known failure; rows in flight are not counted yet."""
        return self.ok + self.error + self.timeout

    @property
    def in_flight(self) -> int:
        """Rows offered without a known outcome. A negative number means a row counted twice."""
        return self.offered - self.sampled_out - self.dropped - self.sent

    def balances(self, in_flight: int = 0) -> bool:
        """Return whether every offered row is accounted for, given the number still in flight."""
        return self.in_flight == in_flight

    def __add__(self, other: "MirrorLedger") -> "MirrorLedger":
        return MirrorLedger(
            **{
                field.name: getattr(self, field.name) + getattr(other, field.name)
                for field in fields(self)
            }
        )
