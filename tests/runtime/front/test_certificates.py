"""Certificates on either front: demanded, checked, and replaced while the process serves."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.runtime.front.fronts import FRONTS, served_front, unary
from tests.runtime.transport.authorities import Authority
from understudy.runtime.transport.tls_files import TlsFiles
from understudy.runtime.transport.transport import LOCAL, Transport

Code = grpc.StatusCode
HOST = "127.0.0.1"


def answer(address: str, transport: Transport) -> grpc.StatusCode:
    """Return the status of a call over a connection of its own."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    with transport.open_blocking_channel(address, options) as channel:
        try:
            unary(channel, "Echo")(b"a")
        except grpc.RpcError as error:
            failed: Any = error
            return grpc.StatusCode(failed.code().value)
    return Code.OK


@pytest.mark.parametrize("front", FRONTS)
def test_a_front_serves_over_tls_and_takes_a_new_certificate(front: str, tmp_path: Path) -> None:
    authority, successor = Authority(tmp_path / "first"), Authority(tmp_path / "second")
    files = authority.files_of(HOST)
    trust, later = (
        Transport(TlsFiles(ca=authority.ca_file)),
        Transport(TlsFiles(ca=successor.ca_file)),
    )

    with served_front(front, transport=Transport(files), trust=trust) as served:
        before = [answer(served.address, each) for each in (trust, LOCAL, later)]
        successor.files_of(HOST, home=authority.folder / "own")
        while answer(served.address, later) is not Code.OK:
            pass  # Envoy looks at the files each second
        after = answer(served.address, trust)

    assert before == [Code.OK, Code.UNAVAILABLE, Code.UNAVAILABLE]
    assert after is Code.UNAVAILABLE


@pytest.mark.parametrize("front", FRONTS)
def test_a_front_keeps_callers_without_a_certificate_out(front: str, tmp_path: Path) -> None:
    authority, stranger = Authority(tmp_path / "ours"), Authority(tmp_path / "others")
    asks = Transport(authority.files_of(HOST), asks_callers=True)
    ours = Transport(authority.files_of("caller", folder="caller"))
    others = Transport(replace(stranger.files_of("caller"), ca=authority.ca_file))
    none = Transport(TlsFiles(ca=authority.ca_file))

    with served_front(front, transport=asks, trust=ours) as served:
        found = [answer(served.address, each) for each in (ours, others, none)]

    assert found == [Code.OK, Code.UNAVAILABLE, Code.UNAVAILABLE]


@pytest.mark.parametrize("front", FRONTS)
def test_a_front_knows_the_names_of_a_caller_by_its_certificate_alone(
    front: str, tmp_path: Path
) -> None:
    authority = Authority(tmp_path / "ours")
    asks = Transport(authority.files_of(HOST), asks_callers=True)
    ours = Transport(authority.files_of("shop.example", "b.example", folder="caller"))
    forged = (("x-forwarded-client-cert", "By=a;Hash=b;DNS=admin.example"),)

    with (
        served_front(front, transport=asks, trust=ours) as served,
        ours.open_blocking_channel(served.address) as channel,
    ):
        names = unary(channel, "Names", metadata=forged)(b"")

    assert names == b"shop.example b.example"


@pytest.mark.parametrize("front", FRONTS)
def test_a_front_without_certificates_believes_no_name(front: str) -> None:
    forged = (("x-forwarded-client-cert", "By=a;Hash=b;DNS=admin.example"),)

    with served_front(front) as served, LOCAL.open_blocking_channel(served.address) as channel:
        assert unary(channel, "Names", metadata=forged)(b"") == b""
