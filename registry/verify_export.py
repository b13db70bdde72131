"""Verification of an export, and of heads that were kept elsewhere, without the registry."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from registry.decisions.audit_head import AuditHead, head_faults
from registry.export import tables_from_lines
from registry.store.lineage import lineage_from_row
from registry.verify_registry import UNREADABLE, verify_tables


@dataclass(frozen=True, slots=True)
class VerifiedExport:
    audit_rows: int
    faults: tuple[str, ...]  # empty if the export is intact and continues the heads


def verify_export(lines: Iterable[str], heads: Sequence[AuditHead]) -> VerifiedExport:
    """Verify the tables of an export, and that its chains continue the heads.

    Raises:
        InvalidInputError: the text is not an export.
    """
    tables = tables_from_lines(lines)
    found = verify_tables(lambda table: tables[table])
    try:
        genesis = lineage_from_row(tables["lineage"][0]).digest
    except UNREADABLE:
        genesis = ""  # a fault of the tables already
    log = {entry.row.sequence: entry.digest for entry in found.recorded}
    faults = (*found.faults, *head_faults(heads, log, found.refusals, genesis))
    return VerifiedExport(len(found.recorded), faults)
