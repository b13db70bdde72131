"""A changed, missing or moved audit row is detected."""

from dataclasses import fields, replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from registry.decisions.audit_chain import AuditRow, RecordedRow, first_break

GENESIS = "9" * 64


def chain(length: int) -> list[RecordedRow]:
    recorded: list[RecordedRow] = []
    previous = GENESIS
    for number in range(1, length + 1):
        row = AuditRow(
            sequence=number,
            at_ns=number * 10,
            actor="ada",
            proof="token",
            peer="ipv4:10.0.0.1",
            on_behalf_of="grace",
            action="deploy",
            model="fraud",
            reason="why",
            from_revision=number - 1,
            to_revision=number,
            details_json="{}",
            previous_digest=previous,
        )
        recorded.append(RecordedRow(row, row.digest))
        previous = row.digest
    return recorded


def test_an_untouched_chain_is_intact() -> None:
    assert first_break(chain(5), GENESIS) is None
    assert first_break([], GENESIS) is None


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

    assert first_break(recorded, GENESIS) == number


def test_a_row_rewritten_with_its_digest_is_found_at_the_next() -> None:
    recorded = chain(4)
    forged = replace(recorded[1].row, reason="another")
    recorded[1] = RecordedRow(forged, forged.digest)

    assert first_break(recorded, GENESIS) == 3


def test_a_chain_of_another_registry_is_broken_at_its_first_row() -> None:
    assert first_break(chain(2), "8" * 64) == 1


def test_a_missing_row_is_found() -> None:
    recorded = chain(4)
    del recorded[1]

    assert first_break(recorded, GENESIS) == 2


def test_exchanged_rows_are_found() -> None:
    recorded = chain(4)
    recorded[1], recorded[2] = recorded[2], recorded[1]

    assert first_break(recorded, GENESIS) == 2
