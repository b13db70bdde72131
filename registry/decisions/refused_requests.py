"""The number of logged requests that a change of the request contract would refuse."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Counted:
    """Logged requests of a model, by their fate under a changed contract."""

    requests: int
    refused: int
    unknown: int  # logged without the names of what they sent
    first_at: datetime | None  # UTC; None without any request
    last_at: datetime | None

    def __str__(self) -> str:
        if not self.requests:
            return "the log has no requests of this model"
        unknown = f", unknown for {self.unknown}" if self.unknown else ""
        period = f"from {self.first_at:%Y-%m-%d %H:%M} to {self.last_at:%Y-%m-%d %H:%M} UTC"
        return f"would refuse {self.refused} of {self.requests} logged requests{unknown}, {period}"
