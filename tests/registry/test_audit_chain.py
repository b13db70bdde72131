"""A changed, missing or moved audit row is detected."""

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.decisions.audit_chain import (
    GENESIS,
    AuditRow,
    Effect,
    RecordedRow,
    discrepancies,
    first_break,
    revision_digest,
    version_digest,
)
from understudy.domain.changes import Action


def chain(length: int) -> list[RecordedRow]:
    recorded: list[RecordedRow] = []
    previous = GENESIS
    for number in range(1, length + 1):
        row = AuditRow(
            number, number * 10, "ada", "deploy", "fraud", "why", number - 1, number, "{}", previous
        )
        recorded.append(RecordedRow(row, row.digest))
        previous = row.digest
    return recorded


def test_an_untouched_chain_is_intact() -> None:
    assert first_break(chain(5)) is None
    assert first_break([]) is None


@given(
    st.integers(1, 6),
    st.sampled_from([field.name for field in fields(AuditRow)]),
    st.data(),
)
def test_a_changed_field_is_found_at_its_row(number: int, name: str, data: st.DataObject) -> None:
    recorded = chain(6)
    old = getattr(recorded[number - 1].row, name)
    kind = st.integers(0, 1 << 60) if isinstance(old, int) else st.text(max_size=70)
    new = data.draw(kind.filter(lambda value: value != old))
    others: dict[str, Any] = {name: new}
    changed = replace(recorded[number - 1].row, **others)
    recorded[number - 1] = RecordedRow(changed, recorded[number - 1].digest)

    assert first_break(recorded) == number


def test_a_row_rewritten_with_its_digest_is_found_at_the_next() -> None:
    recorded = chain(4)
    forged = replace(recorded[1].row, reason="another")
    recorded[1] = RecordedRow(forged, forged.digest)

    assert first_break(recorded) == 3


def test_a_missing_row_is_found() -> None:
    recorded = chain(4)
    del recorded[1]

    assert first_break(recorded) == 2


def test_exchanged_rows_are_found() -> None:
    recorded = chain(4)
    recorded[1], recorded[2] = recorded[2], recorded[1]

    assert first_break(recorded) == 2


def logged(action: str, details: str, *, to_revision: int = 0) -> RecordedRow:
    row = AuditRow(1, 1, "ada", action, "fraud", "why", 0, to_revision, details, GENESIS)
    return RecordedRow(row, row.digest)


REVISION = logged(
    "deploy", '{"from_digest":null,"to_contract":"c1","to_digest":"d1"}', to_revision=1
)
VERSION = logged(
    Action.REGISTER, '{"artifact_digest":"a","provenance_digest":"p","version":"fraud@1"}'
)
DEPLOYED = Effect("deploy", "fraud", 1, revision_digest("d1", "c1"))
REGISTERED = Effect(Action.REGISTER, "fraud", 1, version_digest("a", "p"))


def test_a_log_that_matches_the_registry_has_no_discrepancies() -> None:
    assert discrepancies([VERSION, REVISION], [DEPLOYED, REGISTERED]) == ()


def test_objects_that_are_not_in_the_log_are_named() -> None:
    assert discrepancies([], [DEPLOYED, REGISTERED]) == (
        "revision 1 of fraud by deploy is not in the log in this form",
        "version fraud@1 is not in the log in this form",
    )


def test_missing_objects_are_named() -> None:
    assert discrepancies([VERSION, REVISION], [REGISTERED]) == (
        "revision 1 of fraud by deploy is only in the log",
    )


def test_changed_objects_are_named_from_both_sides() -> None:
    for digest in (revision_digest("d2", "c1"), revision_digest("d1", "c2")):
        changed = replace(DEPLOYED, digest=digest)

        assert len(discrepancies([REVISION], [changed])) == 2


@pytest.mark.parametrize("details", ["", "[]", "{}", '{"version": 1}', "null"])
def test_a_row_that_cannot_be_read_is_named(details: str) -> None:
    assert discrepancies([logged(Action.REGISTER, details)], []) == (
        "an unreadable row is only in the log",
    )
