"""Plaintext stays on the machine, unless a setting allows more."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.domain.errors import InvalidInputError
from understudy.runtime.transport.protection import Protection, protection_of, stays_on_machine

ports = st.integers(0, 65_535)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1:8400",
        "127.8.9.10:1",
        "localhost:8400",
        "[::1]:8400",
        "ipv4:127.0.0.1:8400",
        "ipv6:[::1]:8400",
        "dns:///localhost:8400",
        "unix:/run/a.sock",
        "unix:a.sock",
        "ipv4:127.0.0.1:8400,127.0.0.2:8400",
    ],
)
def test_loopback_and_sockets_stay_on_the_machine(address: str) -> None:
    assert stays_on_machine(address)


@pytest.mark.parametrize(
    "address",
    [
        "unix-abstract:a",  # any user may take the name
        "vsock:2:8400",
        "0.0.0.0:8400",
        "[::]:8400",
        ":8400",
        "*:8400",
        "10.0.0.1:8400",
        "[2001:db8::1]:8400",
        "router:8400",
        "dns:///router:8400",
        "dns://1.1.1.1/localhost:8400",  # another machine says where localhost is
        "localhost.example.com:8400",
        "127.0.0.1.example.com:8400",
        "ipv4:127.0.0.1:8400,10.0.0.1:8400",
        "xds:///router",
        "8400",
        "",
    ],
)
def test_any_other_address_may_leave_the_machine(address: str) -> None:
    assert not stays_on_machine(address)


@given(st.ip_addresses(), ports)
def test_an_ip_stays_on_the_machine_if_it_is_loopback(
    ip: IPv4Address | IPv6Address, port: int
) -> None:
    host = f"[{ip}]" if ip.version == 6 else str(ip)

    assert stays_on_machine(f"{host}:{port}") == ip.is_loopback


@given(st.text(max_size=30))
def test_any_text_is_answered(address: str) -> None:
    for has_certificates in (False, True):
        found = protection_of(
            address, field="listen", has_certificates=has_certificates, plaintext_allowed=True
        )
        assert found is not Protection.NONE or not has_certificates


def test_plaintext_to_others_is_refused_unless_it_is_allowed() -> None:
    with pytest.raises(
        InvalidInputError, match=r"registry: read 10\.0\.0\.1:1 in plaintext; accepted"
    ):
        protection_of(
            "10.0.0.1:1", field="registry", has_certificates=False, plaintext_allowed=False
        )

    allowed = protection_of(
        "10.0.0.1:1", field="registry", has_certificates=False, plaintext_allowed=True
    )
    assert allowed is Protection.NONE


def test_certificates_act_wherever_there_is_a_port() -> None:
    def found(address: str) -> Protection:
        return protection_of(address, field="a", has_certificates=True, plaintext_allowed=True)

    assert found("127.0.0.1:1") is found("10.0.0.1:1") is Protection.TLS
    assert found("unix:/run/a.sock") is Protection.SAME_MACHINE
