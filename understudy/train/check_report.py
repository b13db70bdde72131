"""The gate's report as an author reads it."""

from dataclasses import dataclass

from understudy.provenance.findings import Finding


@dataclass(frozen=True, slots=True)
class CheckReport:
    """Every reason against the version; notes are no reasons, but facts that the author should know."""

    findings: tuple[Finding, ...]
    notes: tuple[str, ...]

    @property
    def complete(self) -> bool:
        return not self.findings

    def __str__(self) -> str:
        head = "complete: the gate finds nothing"
        if self.findings:
            head = f"refused: {len(self.findings)} findings"
        lines = [str(each) for each in self.findings]
        return "\n".join([head, *lines, *(f"note: {each}" for each in self.notes)])
