"""A signed document is accepted from a trusted key only, and in no other form."""

import base64
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.domain.errors import CheckFailedError, InvalidInputError
from understudy.provenance.dsse import (
    Envelope,
    Signature,
    envelope_from_json,
    pre_authentication_encoding,
)
from understudy.provenance.signing_keys import SigningKeys, TrustedKeys, new_private_key

KIND = "application/example+json"
OLD, NEW, FOREIGN = new_private_key(), new_private_key(), new_private_key()


def signing(*texts: str) -> SigningKeys:
    return SigningKeys.read("".join(texts), "key")


def trusting(*texts: str) -> TrustedKeys:
    return TrustedKeys.read("".join(signing(each).public_pem for each in texts), "trusted")


def test_the_signed_bytes_are_those_of_the_specification() -> None:
    # https://github.com/secure-systems-lab/dsse/blob/master/protocol.md, test vector of v1.
    encoded = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world")

    assert encoded == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


@given(st.binary(max_size=50))
def test_a_signed_payload_is_read_again(payload: bytes) -> None:
    envelope = envelope_from_json(signing(OLD).signed(KIND, payload).json_line)

    assert trusting(OLD).payload_of(envelope, KIND) == payload


@given(st.integers(0, 63), st.integers(0, 7), st.sampled_from(["payload", "signature", "type"]))
def test_a_change_of_any_bit_is_refused(place: int, bit: int, part: str) -> None:
    envelope = signing(OLD).signed(KIND, b"x" * 64)
    match part:
        case "payload":
            changed = replace(envelope, payload=_flipped(envelope.payload, place, bit))
        case "signature":
            value = _flipped(envelope.signatures[0].value, place, bit)
            changed = replace(envelope, signatures=(Signature("", value),))
        case _:
            changed = replace(envelope, payload_type=f"{KIND}{place}")

    with pytest.raises(CheckFailedError, match=r"no trusted key|signed document is"):
        trusting(OLD).payload_of(changed, KIND)


@pytest.mark.parametrize(
    ("signed_by", "trusted"), [((OLD, NEW), (OLD,)), ((OLD, NEW), (NEW,)), ((NEW,), (OLD, NEW))]
)
def test_one_trusted_key_of_a_rotation_is_enough(
    signed_by: tuple[str, ...], trusted: tuple[str, ...]
) -> None:
    envelope = signing(*signed_by).signed(KIND, b"head")

    assert trusting(*trusted).payload_of(envelope, KIND) == b"head"


def test_a_key_that_is_not_trusted_is_refused_even_under_the_name_of_another() -> None:
    ours = signing(OLD).signed(KIND, b"head")
    theirs = signing(FOREIGN).signed(KIND, b"head")
    forged = replace(
        theirs, signatures=(replace(ours.signatures[0], value=theirs.signatures[0].value),)
    )

    with pytest.raises(CheckFailedError, match=ours.signatures[0].key_id):
        trusting(OLD).payload_of(forged, KIND)
    with pytest.raises(CheckFailedError, match="no key"):
        trusting(OLD).payload_of(Envelope(KIND, b"head", ()), KIND)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"payloadType":"a","payload":"*","signatures":[]}', "null"]
)
def test_a_text_that_is_no_envelope_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="DSSE"):
        envelope_from_json(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "secret",
        "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n",
    ],
)
def test_a_text_that_is_no_key_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(InvalidInputError, match="Ed25519") as refused:
        SigningKeys.read(text, "REGISTRY_SIGNING_KEY")

    assert "secret" not in str(refused.value)
    assert base64.b64encode(b"secret").decode() not in str(refused.value)
    assert OLD not in repr(signing(OLD))


def _flipped(value: bytes, place: int, bit: int) -> bytes:
    changed = bytearray(value)
    changed[place] ^= 1 << bit
    return bytes(changed)
