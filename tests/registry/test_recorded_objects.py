"""The log and the registry agree, or the object that differs is named."""

from dataclasses import replace

import pytest

from registry.decisions.audit_chain import AuditRow, RecordedRow
from registry.decisions.recorded_objects import (
    Act,
    Kind,
    RevisionFacts,
    Subject,
    discrepancies,
    mark_digest,
    objects_of,
    version_digest,
)
from understudy.domain.canonical import canonical_json
from understudy.domain.changes import Action
from understudy.domain.versions import VersionRef

ACT = Act("ada", 1)
REF = VersionRef("fraud", 1)
FACTS = RevisionFacts("fraud", 1, "deploy", "why", "d1", "c1")
REVISION = {
    "from_digest": None,
    "to_digest": "d1",
    "to_contract": "c1",
    "digest": FACTS.digest(ACT),
}
VERSION = {"version": "fraud@1", "content_digest": "c", "digest": version_digest(REF, "c", ACT)}
BLOCK = {"version": "fraud@1", "digest": mark_digest(Kind.BLOCK, REF, "why", ACT)}
PRESENT = {
    Subject(Kind.VERSION, "fraud", 1): version_digest(REF, "c", ACT),
    Subject(Kind.REVISION, "fraud", 1): FACTS.digest(ACT),
}


def row(action: str, details: object, *, sequence: int = 1, to_revision: int = 0) -> RecordedRow:
    text = details if isinstance(details, str) else canonical_json(details)
    row = AuditRow(
        sequence, 1, "ada", "token", "", "", action, "fraud", "why", 0, to_revision, text, ""
    )
    return RecordedRow(row, row.digest)


LOG = (row(Action.REGISTER, VERSION), row("deploy", REVISION, sequence=2, to_revision=1))


def faults_of(log: tuple[RecordedRow, ...], present: dict[Subject, str]) -> list[str]:
    ledger = objects_of(log)
    return [*ledger.faults, *discrepancies(ledger.objects, present)]


def test_a_log_that_matches_the_registry_has_no_discrepancies() -> None:
    assert faults_of(LOG, PRESENT) == []


def test_objects_that_are_not_in_the_log_are_named() -> None:
    assert faults_of((), PRESENT) == [
        "revision 1 of fraud is not in the audit log",
        "version fraud@1 is not in the audit log",
    ]


def test_missing_objects_are_named_with_their_row() -> None:
    assert faults_of(LOG, {}) == [
        "revision 1 of fraud is missing; row 2 of the audit log records it",
        "version fraud@1 is missing; row 1 of the audit log records it",
    ]


@pytest.mark.parametrize(
    "digest",
    [
        replace(FACTS, deployment_digest="d2").digest(ACT),
        replace(FACTS, contract_digest="c2").digest(ACT),
        replace(FACTS, reason="because").digest(ACT),
        FACTS.digest(Act("grace", 1)),
        FACTS.digest(Act("ada", 2)),
    ],
)
def test_a_changed_object_is_named_with_its_row(digest: str) -> None:
    present = {**PRESENT, Subject(Kind.REVISION, "fraud", 1): digest}

    assert faults_of(LOG, present) == [
        "revision 1 of fraud is not as recorded in row 2 of the audit log"
    ]


def test_a_row_whose_author_is_not_that_of_its_object_is_named() -> None:
    forged = replace(LOG[0].row, actor="grace")

    assert "row 1 of the audit log cannot be read" in faults_of(
        (RecordedRow(forged, forged.digest), LOG[1]), PRESENT
    )


def test_a_block_lasts_until_it_is_lifted() -> None:
    blocked = row(Action.BLOCK, BLOCK)
    lifted = row(Action.UNBLOCK, BLOCK, sequence=2)
    block = {Subject(Kind.BLOCK, "fraud", 1): mark_digest(Kind.BLOCK, REF, "why", ACT)}

    assert faults_of((blocked,), block) == []
    assert faults_of((blocked, lifted), {}) == []
    assert faults_of((lifted,), {}) == ["row 2 of the audit log: block of fraud@1 is not there"]
    assert faults_of((blocked, blocked), block) == [
        "row 1 of the audit log: block of fraud@1 is there already"
    ]


@pytest.mark.parametrize("details", ["", "[]", "{}", '{"version": 1}', "null"])
def test_a_row_that_cannot_be_read_is_named(details: str) -> None:
    assert faults_of((row(Action.REGISTER, details),), {}) == [
        "row 1 of the audit log cannot be read"
    ]
