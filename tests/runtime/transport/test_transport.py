"""Certificates over real connections: demanded, checked, and replaced while calls go on."""

import os
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.runtime.transport.authorities import Authority
from understudy.domain.errors import InvalidInputError, UnavailableError
from understudy.runtime.front.grpc_server import ServerGroup, open_server
from understudy.runtime.serving import add_health
from understudy.runtime.transport.tls_files import TlsFiles
from understudy.runtime.transport.transport import LOCAL, Transport

HOST = "localhost"
ANOTHER_UID = 4_242


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


@asynccontextmanager
async def served(transport: Transport, listen: str = "127.0.0.1:0") -> AsyncIterator[str]:
    async with open_server() as server:
        add_health(server)
        port = transport.bind(server, listen)
        await server.start()
        yield f"{HOST}:{port}"


async def status_of_a_call(target: str, transport: Transport) -> grpc.StatusCode:
    # A channel of its own: connections are not shared with those of earlier calls.
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with transport.open_channel(target, options) as channel:
        return await status_over(channel)


def trusting(authority: Authority) -> Transport:
    return Transport(TlsFiles(ca=authority.ca_file))


async def test_a_server_with_a_certificate_answers_those_who_trust_it(
    authority: Authority, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path / "stranger")

    async with served(Transport(authority.files_of(HOST))) as target:
        trusted = await status_of_a_call(target, trusting(authority))
        untrusted = await status_of_a_call(target, trusting(stranger))
        plain = await status_of_a_call(target, LOCAL)

    assert trusted is grpc.StatusCode.OK
    assert untrusted is plain is grpc.StatusCode.UNAVAILABLE


async def test_a_certificate_for_another_name_is_not_believed(authority: Authority) -> None:
    async with served(Transport(authority.files_of("elsewhere"))) as target:
        assert await status_of_a_call(target, trusting(authority)) is grpc.StatusCode.UNAVAILABLE


async def test_callers_without_a_certificate_of_ours_are_kept_out(
    authority: Authority, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path / "stranger")
    transport = Transport(authority.files_of(HOST), asks_callers=True)
    foreign = replace(stranger.files_of("caller"), ca=authority.ca_file)

    async with served(transport) as target:
        ours = await status_of_a_call(
            target, Transport(authority.files_of("caller", folder="caller"))
        )
        none = await status_of_a_call(target, trusting(authority))
        others = await status_of_a_call(target, Transport(foreign))

    assert ours is grpc.StatusCode.OK
    assert none is others is grpc.StatusCode.UNAVAILABLE


async def test_a_replaced_certificate_is_used_for_the_next_connection(
    authority: Authority,
) -> None:
    async with served(Transport(authority.files_of("elsewhere"))) as target:
        before = await status_of_a_call(target, trusting(authority))
        authority.files_of(HOST)
        after = await status_of_a_call(target, trusting(authority))

    assert (before, after) == (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.OK)


@pytest.mark.parametrize("damage", ["", "no certificate"])
async def test_a_damaged_certificate_leaves_the_one_in_use(
    authority: Authority, damage: str
) -> None:
    files = authority.files_of(HOST)
    assert files.certificate is not None
    with structlog.testing.capture_logs() as lines:
        async with served(Transport(files)) as target:
            files.certificate.write_text(damage)
            answered = await status_of_a_call(target, trusting(authority))

    assert answered is grpc.StatusCode.OK
    assert "certificates_unusable" in {line["event"] for line in lines}


async def test_servers_that_share_a_port_share_the_certificate(authority: Authority) -> None:
    async with open_server(reuse_port=True) as one, open_server(reuse_port=True) as another:
        group = ServerGroup([one, another])
        add_health(group)
        port = Transport(authority.files_of(HOST)).bind(group, "127.0.0.1:0")
        await group.start()
        answers = {await status_of_a_call(f"{HOST}:{port}", trusting(authority)) for _ in range(10)}

    assert answers == {grpc.StatusCode.OK}


async def test_a_socket_needs_no_certificate(authority: Authority, tmp_path: Path) -> None:
    listen = f"unix:{tmp_path / 's'}"
    async with served(Transport(authority.files_of(HOST)), listen):
        assert await status_of_a_call(listen, trusting(authority)) is grpc.StatusCode.OK


def test_plaintext_to_other_machines_is_a_warning_where_it_is_allowed() -> None:
    with structlog.testing.capture_logs() as lines:
        Transport(plaintext_allowed=True).open_blocking_channel(
            "registry:1", named="registry"
        ).close()

    assert [(line["event"], line["registry"]) for line in lines] == [
        ("plaintext_across_machines", "registry:1")
    ]
    with pytest.raises(InvalidInputError, match=r"registry: read registry:1 in plaintext"):
        LOCAL.open_blocking_channel("registry:1", named="registry")


async def test_a_port_in_use_is_named(authority: Authority) -> None:
    transport = Transport(authority.files_of(HOST))
    async with served(transport) as target:
        port = target.rpartition(":")[2]
        with pytest.raises(UnavailableError, match=f"address 127.0.0.1:{port}"):
            async with open_server() as server:
                transport.bind(server, f"127.0.0.1:{port}")


class TestFiles:
    def test_a_key_for_others_to_read_is_refused(self, authority: Authority) -> None:
        files = authority.files_of(HOST)
        assert files.key is not None
        files.key.chmod(0o604)

        with pytest.raises(InvalidInputError, match=r"tls_key: read mode 0604"):
            files.read()

    def test_the_key_of_another_certificate_is_refused(self, authority: Authority) -> None:
        other = authority.files_of(HOST, folder="other")

        with pytest.raises(InvalidInputError, match=r"tls_key: .*; accepted: the unencrypted key"):
            replace(authority.files_of(HOST), key=other.key).read()

    @pytest.mark.parametrize("days", [-1, 0])
    def test_an_expired_certificate_is_refused_by_its_dates(
        self, authority: Authority, days: int
    ) -> None:
        expires = datetime.now(UTC) + timedelta(days=days)

        with pytest.raises(InvalidInputError, match=r"tls_certificate: .* one that is valid at"):
            authority.files_of(HOST, expires=expires).read()

    @pytest.mark.parametrize("field", ["certificate", "key", "ca"])
    @pytest.mark.parametrize(
        "content", [None, b"", b"-----BEGIN CERTIFICATE-----", bytes(range(99))]
    )
    def test_a_file_that_is_absent_or_no_pem_is_named(
        self, authority: Authority, field: str, content: bytes | None
    ) -> None:
        files = authority.files_of(HOST)
        path: Path = getattr(files, field)
        path.unlink()
        if content is not None:
            path.touch(mode=0o600)
            path.write_bytes(content)

        with pytest.raises(InvalidInputError, match=rf"^tls_{field}: "):
            files.read()


@pytest.mark.parametrize("scheme", ["unix:", "unix://"])
async def test_a_socket_is_for_our_user_alone_whatever_the_mask(
    scheme: str, tmp_path: Path
) -> None:
    before = os.umask(0)
    try:
        async with open_server() as server:
            LOCAL.bind(server, f"{scheme}{tmp_path / 's'}")
            mode = stat.S_IMODE((tmp_path / "s").stat().st_mode)
    finally:
        os.umask(before)

    assert mode == 0o700


async def status_over(channel: grpc.aio.Channel) -> grpc.StatusCode:
    stub: Any = health_pb2_grpc.HealthStub(channel)
    try:
        await stub.Check(health_pb2.HealthCheckRequest(), timeout=60.0)
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def test_an_open_channel_shows_a_renewed_certificate_with_its_next_call(
    authority: Authority, tmp_path: Path
) -> None:
    """Its first certificate is of an authority that the server does not know."""
    stranger = Authority(tmp_path / "stranger")
    home = stranger.folder / "own"
    shown = replace(stranger.files_of("caller", home=home), ca=authority.ca_file)
    transport = Transport(authority.files_of(HOST), asks_callers=True)

    async with served(transport) as target, Transport(shown).open_channel(target) as channel:
        before = await status_over(channel)
        authority.files_of("caller", home=home)
        after = await status_over(channel)

    assert (before, after) == (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.OK)


async def test_an_open_channel_trusts_an_authority_that_was_added(
    authority: Authority, tmp_path: Path
) -> None:
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(Authority(tmp_path / "former").ca_file.read_bytes())

    async with (
        served(Transport(authority.files_of(HOST))) as target,
        Transport(TlsFiles(ca=trusted)).open_channel(target) as channel,
    ):
        before = await status_over(channel)
        trusted.write_bytes(trusted.read_bytes() + authority.ca_file.read_bytes())
        after = await status_over(channel)

    assert (before, after) == (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.OK)


async def test_calls_that_are_open_outlive_a_renewal(authority: Authority) -> None:
    own = authority.files_of("caller", folder="caller")
    transport = Transport(authority.files_of(HOST), asks_callers=True)

    async with served(transport) as target:
        async with Transport(own).open_channel(target) as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            watch = stub.Watch(health_pb2.HealthCheckRequest(), timeout=60.0)
            first = await watch.read()
            for _ in range(3):
                authority.files_of("caller", folder="caller")
                assert await status_over(channel) is grpc.StatusCode.OK
            is_open = not watch.done()
        ended_by = await watch.code()

    assert first.status
    assert is_open
    assert ended_by is grpc.StatusCode.CANCELLED, "a channel that is closed holds no call open"


@pytest.mark.parametrize("damage", ["", "no certificate"])
async def test_a_damaged_certificate_leaves_the_channel_in_use_until_it_is_mended(
    authority: Authority, damage: str
) -> None:
    own = authority.files_of("caller", folder="caller")
    assert own.certificate is not None
    transport = Transport(authority.files_of(HOST), asks_callers=True)

    with structlog.testing.capture_logs() as lines:
        async with served(transport) as target, Transport(own).open_channel(target) as channel:
            own.certificate.write_text(damage)
            answered = [await status_over(channel) for _ in range(3)]
            authority.files_of("caller", folder="caller")
            answered.append(await status_over(channel))

    assert {*answered} == {grpc.StatusCode.OK}
    events = [line["event"] for line in lines]
    assert (events.count("certificates_unusable"), events.count("channel_renewed")) == (1, 1)


@pytest.mark.fault
async def test_no_call_goes_to_a_socket_of_another_user(tmp_path: Path) -> None:
    """Also over a channel that was open before: a socket may be made anew by its next owner."""
    listen = f"unix:{tmp_path / 's'}"
    async with served(LOCAL, listen), LOCAL.open_channel(listen) as channel:
        ours = await status_over(channel)
        give_away(tmp_path / "s")
        with pytest.raises(UnavailableError, match=rf"uid {ANOTHER_UID}"):
            await status_over(channel)
        with pytest.raises(UnavailableError, match=rf"uid {ANOTHER_UID}"):
            LOCAL.open_blocking_channel(listen)

    assert ours is grpc.StatusCode.OK


def give_away(path: Path) -> None:
    try:
        os.chown(path, ANOTHER_UID, -1)
    except PermissionError:
        pytest.skip("only root can give a file to another user")
