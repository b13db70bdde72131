"""Ed25519 keys: private ones sign, public ones verify. Both are PEM texts that may hold several keys.

Several keys in one text are a rotation: everything is signed with each, and one trusted key is
enough to verify.
"""

import re
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from understudy.domain.errors import CheckFailedError, InvalidInputError
from understudy.provenance.dsse import Envelope, Signature, pre_authentication_encoding

_BLOCK = re.compile(r"-----BEGIN ([A-Z ]+)-----.+?-----END \1-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """Private keys. The text of the object does not show them."""

    _keys: tuple[Ed25519PrivateKey, ...]

    @classmethod
    def read(cls, text: str, field: str) -> "SigningKeys":
        """Read the keys of a PEM text.

        Raises:
            InvalidInputError: it has none, or one that is not Ed25519; the text is not shown.
        """
        accepted = "one or more Ed25519 private keys, PKCS 8 in PEM without a password"
        found = []
        for block in _blocks(text, field, accepted):
            try:
                key = load_pem_private_key(block, password=None)
            except (ValueError, TypeError, UnsupportedAlgorithm) as error:
                raise InvalidInputError.of(field, read="another text", accepted=accepted) from error
            if not isinstance(key, Ed25519PrivateKey):
                raise InvalidInputError.of(field, read="another kind of key", accepted=accepted)
            found.append(key)
        return cls(tuple(found))

    @property
    def public_pem(self) -> str:
        """The public keys, for those who verify."""
        form = Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        return "".join(key.public_key().public_bytes(*form).decode() for key in self._keys)

    def signed(self, payload_type: str, payload: bytes) -> Envelope:
        """Return the payload with a signature by each key."""
        encoded = pre_authentication_encoding(payload_type, payload)
        return Envelope(
            payload_type,
            payload,
            tuple(Signature(key_id(key.public_key()), key.sign(encoded)) for key in self._keys),
        )


@dataclass(frozen=True, slots=True)
class TrustedKeys:
    """Public keys of signers."""

    _keys: tuple[Ed25519PublicKey, ...]

    @classmethod
    def read(cls, text: str, field: str) -> "TrustedKeys":
        """Read the keys of a PEM text.

        Raises:
            InvalidInputError: it has none, or one that is not Ed25519.
        """
        accepted = "one or more Ed25519 public keys in PEM"
        found = []
        for block in _blocks(text, field, accepted):
            try:
                key = load_pem_public_key(block)
            except (ValueError, UnsupportedAlgorithm) as error:
                raise InvalidInputError.of(field, read="another text", accepted=accepted) from error
            if not isinstance(key, Ed25519PublicKey):
                raise InvalidInputError.of(field, read="another kind of key", accepted=accepted)
            found.append(key)
        return cls(tuple(found))

    def payload_of(self, envelope: Envelope, payload_type: str) -> bytes:
        """Return the payload, if it has this type and one of these keys signed it.

        Raises:
            CheckFailedError: it has another type, or none of the keys signed it.
        """
        if envelope.payload_type != payload_type:
            raise CheckFailedError(
                f"the signed document is {envelope.payload_type}, not {payload_type}"
            )
        for signature in envelope.signatures:
            if any(_verifies(key, signature, envelope.signed_bytes) for key in self._keys):
                return envelope.payload
        signers = ", ".join(each.key_id for each in envelope.signatures) or "no key"
        raise CheckFailedError(f"no trusted key signed the document; it names {signers}")


def new_private_key() -> str:
    """Return a new private key as PEM."""
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def key_id(key: Ed25519PublicKey) -> str:
    """Return the sha256 of the public key in DER, in hexadecimal."""
    return sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _blocks(text: str, field: str, accepted: str) -> list[bytes]:
    found = [match.group().encode() for match in _BLOCK.finditer(text)]
    if not found:
        raise InvalidInputError.of(field, read="no PEM block", accepted=accepted)
    return found


def _verifies(key: Ed25519PublicKey, signature: Signature, signed: bytes) -> bool:
    try:
        key.verify(signature.value, signed)
    except InvalidSignature:
        return False
    return True
