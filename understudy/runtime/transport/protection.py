"""The rule for plaintext: inside a machine, and to others only where someone has allowed it."""

from enum import StrEnum

from understudy.domain.errors import Fault, InvalidInputError
from understudy.domain.loopback import is_loopback

# Names of unix-abstract have no owner, so that any user of the machine may take them.
_SOCKET_FILE = "unix"
_HOST_SCHEMES = ("dns", "ipv4", "ipv6")


class Protection(StrEnum):
    """The protection of the bytes between two processes."""

    TLS = "tls"
    SAME_MACHINE = "same_machine"  # in plaintext, and no other machine takes part
    NONE = "none"  # in plaintext to other machines, because a setting allows it


def stays_on_machine(address: str) -> bool:
    """Return whether only processes of this machine can be at the other end of `address`.

    Args:
        address: a gRPC target or an address to listen on: HOST:PORT, unix:/PATH, dns:///HOST:PORT.
            A name other than `localhost` counts as another machine, an empty host as any.
    """
    scheme, _, rest = address.partition(":")
    if scheme == _SOCKET_FILE:
        return True
    hosts = rest.lstrip("/") if scheme in _HOST_SCHEMES else address
    return all(is_loopback(_host_of(each)) for each in hosts.split(","))


def protection_of(
    address: str, *, field: str, has_certificates: bool, plaintext_allowed: bool
) -> Protection:
    """Return the protection of a connection to or at `address`.

    Sockets of the file system need none: both of their ends belong to one user (`sockets.py`).

    Raises:
        InvalidInputError: other machines could read along, and no setting allows that.
    """
    if address.partition(":")[0] == _SOCKET_FILE:
        return Protection.SAME_MACHINE
    if has_certificates:
        return Protection.TLS
    if stays_on_machine(address):
        return Protection.SAME_MACHINE
    if plaintext_allowed:
        return Protection.NONE
    accepted = "a loopback address, certificates (tls_certificate, tls_key, tls_ca), or insecure"
    raise InvalidInputError([Fault(field, f"{address} in plaintext", accepted)])


def _host_of(address: str) -> str:
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.rpartition(":")[0] if address.count(":") == 1 else address
