"""The progress that an upload must make to keep its seat.

In each period of waiting for the sender it must bring a number of bytes; then the next period begins.
An average over the upload would let a fast beginning pay for an hour of trickling, and a limit on the
silence between two parts is met by one byte at a time. Time in which we write does not count.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class PaceLimits:
    period_s: float  # of waiting
    period_bytes: int  # to bring within it; at least 1


@dataclass(frozen=True, slots=True)
class UploadPace:
    """The current period of an upload."""

    limits: PaceLimits
    waited_s: float = 0.0
    received_bytes: int = 0

    @property
    def left_s(self) -> float:
        """The longest wait for the next part; 0 if the sender is too slow."""
        return max(0.0, self.limits.period_s - self.waited_s)

    def after(self, *, waited_s: float, received_bytes: int) -> "UploadPace":
        """Return the pace after a part of `received_bytes` came, for which we waited so long."""
        total_bytes = self.received_bytes + received_bytes
        if total_bytes >= self.limits.period_bytes:
            return UploadPace(self.limits)
        return replace(self, waited_s=self.waited_s + waited_s, received_bytes=total_bytes)
