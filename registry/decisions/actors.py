"""The author of a deed: the name, its proof, the caller's machine, and the person acted for."""

from dataclasses import dataclass
from enum import StrEnum


class Proof(StrEnum):
    """The ground on which the registry believed a name."""

    TOKEN = "token"  # noqa: S105 - no secret
    CERTIFICATE = "certificate"
    UNPROVEN = "unproven"  # the caller claimed it


@dataclass(frozen=True, slots=True)
class Actor:
    """A caller who changes something, as the audit log records it."""

    name: str
    proof: Proof = Proof.UNPROVEN
    peer: str = ""  # machine of the caller, in gRPC's form; empty: the registry itself
    on_behalf_of: str = ""  # a name that the caller states, never proven; empty for none

    def __str__(self) -> str:
        return self.name

    @property
    def is_proven(self) -> bool:
        return self.proof is not Proof.UNPROVEN
