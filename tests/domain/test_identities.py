"""Files of identities: read as they were written, and refused by field."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.domain.errors import InvalidInputError
from understudy.domain.identities import (
    Identities,
    Identity,
    Role,
    Token,
    document_of,
    identities_from_document,
)

NOW = datetime(2026, 11, 30, tzinfo=UTC)
A, B = "a" * 64, "b" * 64

times = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
digests = st.text("0123456789abcdef", min_size=64, max_size=64)
callers = st.builds(
    Identity,
    name=st.from_regex(r"[a-z][a-z0-9._@:/+-]{0,20}", fullmatch=True),
    roles=st.frozensets(st.sampled_from(Role), min_size=1),
    tokens=st.lists(st.builds(Token, digests, st.none() | times), min_size=1, max_size=3).map(
        tuple
    ),
    certificate=st.none() | st.text(min_size=1, max_size=20),
)


def is_free_of_repetitions(found: list[Identity]) -> bool:
    digests = [token.sha256 for each in found for token in each.tokens]
    names = [each.name for each in found]
    certificates = [each.certificate for each in found if each.certificate]
    return all(len(set(each)) == len(each) for each in (digests, names, certificates))


@given(st.lists(callers, max_size=4).filter(is_free_of_repetitions))
def test_a_document_reads_as_it_was_written(found: list[Identity]) -> None:
    written = Identities(tuple(found))

    assert identities_from_document(document_of(written)) == written


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["format", "identities", "name", "roles", "tokens", "sha256", "x"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_any_document_is_read_or_refused_by_field(document: Any) -> None:
    found: list[InvalidInputError] = []
    for each in (document, {"format": 1, "identities": document}):
        try:
            identities_from_document(each)
        except InvalidInputError as error:
            found.append(error)
    assert all(error.faults for error in found)


@given(callers, times)
def test_a_token_proves_its_name_until_it_expires(caller: Identity, now: datetime) -> None:
    known = Identities((caller,))

    for token in caller.tokens:
        is_valid = token.expires is None or now < token.expires
        digests = [each.sha256 for each in caller.tokens]
        if digests.count(token.sha256) == 1:
            assert known.by_token(token.sha256, now) == (caller if is_valid else None)
    assert known.by_token("0" * 63, now) is None


def test_a_certificate_proves_a_name_by_one_of_its_names() -> None:
    caller = Identity("host-a", frozenset({Role.HOST}), certificate="host-a.bank")

    assert Identities((caller,)).by_certificate(["x", "host-a.bank"]) is caller
    assert Identities((caller,)).by_certificate(["host-a", "host-a.bank.example"]) is None
    nameless = Identity("ann", frozenset({Role.ADMIN}), (Token(A),))
    assert Identities((nameless,)).by_certificate([""]) is None


def document(**fields: Any) -> dict[str, Any]:
    entry = {"name": "ann", "roles": ["admin"], "tokens": [{"sha256": A}], **fields}
    return {"format": 1, "identities": [entry]}


@pytest.mark.parametrize(
    ("read", "field"),
    [
        ([], "format"),
        ({"format": 2, "identities": []}, "format"),
        ({"format": 1}, "identities"),
        ({"format": 1, "identities": [], "more": 1}, "identities"),
        ({"format": 1, "identities": ["ann"]}, "identities[0]"),
        (document(name=""), "identities[0].name"),
        (document(name="ann\nbob"), "identities[0].name"),
        (document(name=7), "identities[0].name"),
        (document(roles=[]), "identities[0].roles"),
        (document(roles=["root"]), "identities[0].roles"),
        (document(roles="admin"), "identities[0].roles"),
        (document(role=["admin"]), "identities[0].role"),
        (document(tokens=[]), "identities[0].tokens"),
        (document(tokens=["secret"]), "identities[0].tokens[0]"),
        (document(tokens=[{"sha256": "secret"}]), "identities[0].tokens[0].sha256"),
        (document(tokens=[{"sha256": A.upper()}]), "identities[0].tokens[0].sha256"),
        (document(tokens=[{"sha256": A, "expires": "soon"}]), "identities[0].tokens[0].expires"),
        (
            document(tokens=[{"sha256": A, "expires": "2027-01-31T12:00:00"}]),
            "identities[0].tokens[0].expires",
        ),
        (document(certificate=""), "identities[0].certificate"),
    ],
)
def test_a_fault_is_named_by_its_field_and_shows_no_token(read: Any, field: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        identities_from_document(read)

    assert [fault.field for fault in refused.value.faults] == [field]
    assert "secret" not in str(refused.value)


def test_callers_share_no_name_token_or_certificate() -> None:
    def of(*entries: dict[str, Any]) -> dict[str, Any]:
        return {
            "format": 1,
            "identities": [{"roles": ["viewer"], **each} for each in entries],
        }

    for field, twice in (
        ("name", of({"name": "a", "certificate": "x"}, {"name": "a", "certificate": "y"})),
        ("certificate", of({"name": "a", "certificate": "x"}, {"name": "b", "certificate": "x"})),
        (
            "tokens",
            of(
                {"name": "a", "tokens": [{"sha256": A}]},
                {"name": "b", "tokens": [{"sha256": B}, {"sha256": A}]},
            ),
        ),
    ):
        with pytest.raises(InvalidInputError, match=f"^{field}: read"):
            identities_from_document(twice)


def test_a_token_is_invalid_at_the_moment_of_its_end() -> None:
    assert Token(A, NOW + timedelta(microseconds=1)).is_valid(NOW)
    assert not Token(A, NOW).is_valid(NOW)
