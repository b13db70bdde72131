"""The rule by which logs contain ids."""

from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.domain.logged_ids import IdForm, LoggedIds

keys = st.binary(min_size=16, max_size=64)
ids = st.lists(st.text(max_size=20), max_size=20)


@given(ids, keys, keys)
def test_an_id_has_one_digest_under_a_key_and_another_under_another_key(
    given_ids: list[str], key: bytes, other: bytes
) -> None:
    keyed = LoggedIds(IdForm.KEYED, key)

    written = keyed.written(given_ids)

    expected = [blake2b(each.encode(), digest_size=16, key=key).hexdigest() for each in given_ids]
    assert written == expected
    if key.rstrip(b"\0") != other.rstrip(b"\0"):
        elsewhere = LoggedIds(IdForm.KEYED, other)
        assert not set(elsewhere.written(given_ids)) & set(written)
        assert elsewhere.key_id != keyed.key_id


@given(ids)
def test_plain_ids_are_written_as_they_are(given_ids: list[str]) -> None:
    assert LoggedIds(IdForm.PLAIN).written(given_ids) == given_ids


@pytest.mark.parametrize("key", [b"", b"k" * 15, b"k" * 65])
def test_a_key_that_is_short_or_long_is_refused(key: bytes) -> None:
    with pytest.raises(ValueError, match=f"16 to 64 bytes and has {len(key)}"):
        LoggedIds(IdForm.KEYED, key)


@pytest.mark.parametrize("form", [IdForm.UNKEYED, IdForm.PLAIN])
def test_a_key_without_effect_is_refused(form: IdForm) -> None:
    with pytest.raises(ValueError, match=f"because log_ids is {form}"):
        LoggedIds(form, b"k" * 16)


def test_a_key_is_never_shown() -> None:
    assert "secret" not in repr(LoggedIds(IdForm.KEYED, b"secret secret secret"))
