"""The schemas of databases that a build serves from, or can upgrade; and the reasons against others."""

from dataclasses import dataclass

COMMAND = "understudy registry database upgrade"


@dataclass(frozen=True, slots=True)
class SchemaRange:
    """The numbers of schemas that a build knows."""

    earliest: int  # from which steps lead to the latest
    latest: int  # the only one that it serves from

    def refusal_to_serve(self, found: int) -> str | None:
        """Return the reason not to serve from a database with schema `found`; None if there is none."""
        if found == self.latest:
            return None
        if (refusal := self.refusal_to_upgrade(found)) is not None:
            return refusal
        return f"{self._read(found)}: stop every registry over it, then run `{COMMAND}`"

    def refusal_to_upgrade(self, found: int) -> str | None:
        """Return the reason for which no steps lead from schema `found`; None if they do."""
        if found > self.latest:
            return self._read(found)
        if found < self.earliest:
            return f"{self._read(found)}, and upgrades from schema {self.earliest} on"
        return None

    def _read(self, found: int) -> str:
        writer = "a newer registry" if found > self.latest else "an earlier build"
        return f"the database has schema {found}, of {writer}; this registry reads schema {self.latest}"
