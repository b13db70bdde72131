"""A record that a store refuses. Imports nothing: readers of stores import it and start often."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RefusedRecord:
    """A record that the store can never hold, however often it is retried."""

    place: int  # index among the records of the write
    read: str
    accepted: str
