"""Loopback addresses: those at which only processes of this machine can be."""

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Return whether `host` is a loopback address or `localhost`; another name may lead anywhere."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False
