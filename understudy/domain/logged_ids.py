"""Entity and candidate ids as the logs contain them.

The digest of an id hides it only from readers who cannot list all ids and hash them. A secret key
prevents that, so ids are keyed unless an operator declares another form.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import blake2b

LEAST_KEY_BYTES, MOST_KEY_BYTES = 16, 64  # of BLAKE2b; a shorter key could be guessed
ID_FORM_KEY = b"id_form"  # metadata of a file: the form of `unit_key` and `candidate_id`
LOG_KEY_ID_KEY = b"log_key_id"  # metadata of a file: the name of the key of their digests
_DIGEST_BYTES = 16
_KEY_ID_BYTES = 8
_KEY_ID_OF = b"understudy log key"


class IdForm(StrEnum):
    """The form of the ids in a log."""

    KEYED = "keyed"  # BLAKE2b digests of 128 bits under a secret key
    UNKEYED = "unkeyed"  # the same without a key: an id that can be guessed can be recognised
    PLAIN = "plain"  # the ids themselves


@dataclass(frozen=True, slots=True, order=True)
class StatedIds:
    """The form and key of ids as a file states them, or as a command was given them."""

    form: str  # an IdForm; another word if a later version of this software wrote the file
    key_id: str  # empty if there is no key

    def __str__(self) -> str:
        return f"{self.form} under key {self.key_id}" if self.key_id else self.form


def stated_ids(metadata: Mapping[bytes, bytes]) -> StatedIds | None:
    """Return the form and key that the metadata of a file states; None if it states none."""
    form = metadata.get(ID_FORM_KEY)
    if form is None:  # not a file of ours
        return None
    key_id = metadata.get(LOG_KEY_ID_KEY, b"")
    return StatedIds(form.decode(errors="replace"), key_id.decode(errors="replace"))


@dataclass(frozen=True, slots=True)
class LoggedIds:
    """The rule by which ids are written, and found again.

    Raises:
        ValueError: on construction, if the form needs a key of another length, or none.
    """

    form: IdForm
    key: bytes = field(default=b"", repr=False)

    def __post_init__(self) -> None:
        if self.form is IdForm.KEYED and not LEAST_KEY_BYTES <= len(self.key) <= MOST_KEY_BYTES:
            raise ValueError(
                f"log_key must have {LEAST_KEY_BYTES} to {MOST_KEY_BYTES} bytes and has {len(self.key)}; "
                "without one, log_ids is unkeyed (ids can be guessed) or plain"
            )
        if self.form is not IdForm.KEYED and self.key:
            raise ValueError(f"log_key has no effect because log_ids is {self.form}")

    @property
    def key_id(self) -> str:
        """The name of the key, which does not reveal it; empty if there is none."""
        if not self.key:
            return ""
        return blake2b(_KEY_ID_OF, digest_size=_KEY_ID_BYTES, key=self.key).hexdigest()

    @property
    def stated(self) -> StatedIds:
        """The form and key as the metadata of a file states them."""
        return StatedIds(self.form.value, self.key_id)

    def written(self, ids: Sequence[str]) -> Sequence[str]:
        """Return `ids` as they are written, in their order."""
        return ids if self.form is IdForm.PLAIN else self.hashed(ids)

    def hashed(self, ids: Sequence[str]) -> list[str]:
        """Return the digests of texts, under the key if there is one, in their order."""
        keyed = blake2b(digest_size=_DIGEST_BYTES, key=self.key)
        digests: dict[str, str] = {}
        # Candidates of one request share their unit key: hash each distinct id once.
        for each in set(ids):
            digest = keyed.copy()  # the key is hashed once and not for each id
            digest.update(each.encode())
            digests[each] = digest.hexdigest()
        return list(map(digests.__getitem__, ids))


def buckets_of(written: Sequence[str], form: IdForm) -> bytes:
    """Return the bucket of each written unit key: one of 256 equal parts of all units.

    It depends on the unit alone, so that rows of a unit share it in all revisions and logs.
    """
    if form is IdForm.PLAIN:
        return b"".join([blake2b(unit.encode(), digest_size=1).digest() for unit in written])
    return bytes.fromhex("".join([unit[:2] for unit in written]))
