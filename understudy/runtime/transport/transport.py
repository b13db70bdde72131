"""The transport of a process: its certificates, and whether plaintext may leave the machine."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import grpc
import structlog

from understudy.domain.errors import Fault, InvalidInputError, UnavailableError
from understudy.runtime.transport.protection import Protection, protection_of
from understudy.runtime.transport.renewed_channel import RenewedChannel
from understudy.runtime.transport.sockets import made_for_us_alone, require_own_socket, socket_of
from understudy.runtime.transport.tls_files import FollowedFiles, TlsFiles, TlsMaterial
from understudy.runtime.transport.tokens import Token, call_credentials

Options = Sequence[tuple[str, int | str]]

_NAME_TO_PROVE = "grpc.ssl_target_name_override"
_log = structlog.get_logger()


class Group(Protocol):
    """Several servers of one port."""

    @property
    def servers(self) -> Sequence[grpc.aio.Server]: ...


@dataclass(frozen=True, slots=True)
class Transport:
    """The ways of a process to open ports and channels. The default one stays on this machine, in plaintext.

    Attributes:
        files: the certificates; servers use TLS if there is a certificate, channels if there is an
            authority to trust.
        plaintext_allowed: whether plaintext may cross machines; each use is logged as a warning.
        asks_callers: whether servers demand a certificate of their callers, by `files.ca`.
        token: goes with each call of a channel, to prove the name of the caller; over TLS only. Of
            a file, the content at the time of the call.
    """

    files: TlsFiles = TlsFiles()  # noqa: RUF009 - frozen
    plaintext_allowed: bool = False
    asks_callers: bool = False
    token: Token = field(default="", repr=False)

    def require(self, address: str, *, named: str) -> None:
        """Check an address before it is used, e.g. by a child process.

        Raises:
            InvalidInputError: other machines could read along.
        """
        self._protection(address, named, has_certificates=self.files.certificate is not None)

    def bind(self, server: grpc.aio.Server | Group, listen: str) -> int:
        """Bind `listen` (host:port, port 0 picks one, or unix:/path) and return the port.

        All servers of a group are bound to the port that the first one gets.

        Raises:
            UnavailableError: the address cannot be bound, e.g. the port is in use.
            InvalidInputError: other machines could read along, or the files are not usable.
        """
        protection = self._protection(
            listen, "listen", has_certificates=self.files.certificate is not None
        )
        first, *others = (server,) if isinstance(server, grpc.aio.Server) else server.servers
        port = self._bind(first, listen, protection)
        host, _, _ = listen.rpartition(":")
        for each in others:
            self._bind(each, f"{host}:{port}", protection)
        return port

    def open_channel(
        self,
        target: str,
        options: Options = (),
        *,
        named: str = "target",
        proves: str | None = None,
    ) -> grpc.aio.Channel:
        """Return a channel for asyncio, which the caller closes; it connects when it is used.

        Each new call goes out with the certificates that the files have then. A call to a socket
        that belongs to another user raises UnavailableError instead.

        `proves`: the name that the certificate of the other side must have; by default the host in
        `target`. It has no effect in plaintext, which does not leave the machine.

        Raises:
            InvalidInputError: other machines could read along, or the files are not usable; it
                names `named`.
        """
        if not self._uses_tls(target, named):
            channel = grpc.aio.insecure_channel(target, options=options)
            path = socket_of(target)
            if path is None:
                return channel
            return RenewedChannel(channel, lambda: require_own_socket(path, target))
        proof = () if proves is None else ((_NAME_TO_PROVE, proves),)
        of_calls = self._call_credentials()

        def opened(read: TlsMaterial) -> grpc.aio.Channel:
            credentials = _channel_credentials(read, of_calls)
            return grpc.aio.secure_channel(target, credentials, options=(*options, *proof))

        first = self.files.read()
        followed = FollowedFiles(self.files, first)

        def renewed() -> grpc.aio.Channel | None:
            found = followed.changed_by_state()
            return None if found is None else opened(found)

        return RenewedChannel(opened(first), renewed)

    def open_blocking_channel(
        self, target: str, options: Options = (), *, named: str = "target"
    ) -> grpc.Channel:
        """Return a channel for threads, with the certificates of now: for the time of one command.

        Its calls have the token that its file has then.

        Raises:
            InvalidInputError: see `open_channel`.
            UnavailableError: the socket at `target` belongs to another user.
        """
        if not self._uses_tls(target, named):
            if (path := socket_of(target)) is not None:
                require_own_socket(path, target)
            return grpc.insecure_channel(target, options=options)
        credentials = _channel_credentials(self.files.read(), self._call_credentials())
        return grpc.secure_channel(target, credentials, options=options)

    def _bind(self, server: grpc.aio.Server, listen: str, protection: Protection) -> int:
        try:
            with made_for_us_alone(socket_of(listen)):
                if protection is Protection.TLS:
                    port = server.add_secure_port(listen, self._server_credentials())
                else:
                    port = server.add_insecure_port(listen)
        except RuntimeError as error:
            raise UnavailableError(f"address {listen}", "cannot be bound; is it in use?") from error
        if port == 0:
            raise UnavailableError(f"address {listen}", "cannot be bound; is it in use?")
        return port

    def _uses_tls(self, target: str, named: str) -> bool:
        protection = self._protection(target, named, has_certificates=self.files.ca is not None)
        if protection is Protection.TLS:
            return True
        if self.token:
            read = f"a token for {target}, in plaintext"
            raise InvalidInputError([Fault("token", read, "a token and tls_ca")])
        return False

    def _call_credentials(self) -> grpc.CallCredentials | None:
        return call_credentials(self.token) if self.token else None

    def _server_credentials(self) -> grpc.ServerCredentials:
        """Return credentials that follow the files: each handshake uses their present content.

        They belong to one server; gRPC takes their first content only once.
        """
        first = self.files.read()
        followed = FollowedFiles(self.files, first)

        def changed() -> grpc.ServerCertificateConfiguration | None:
            found = followed.changed()
            return None if found is None else self._configuration(found)

        return grpc.dynamic_ssl_server_credentials(
            self._configuration(first),
            changed,  # type: ignore[arg-type] # None is documented
            require_client_authentication=self.asks_callers,
        )

    def _configuration(self, read: TlsMaterial) -> grpc.ServerCertificateConfiguration:
        assert read.key is not None and read.certificate is not None  # noqa: S101, PT018 - it serves with TLS
        return grpc.ssl_server_certificate_configuration(
            [(read.key, read.certificate)], read.ca if self.asks_callers else None
        )

    def _protection(self, address: str, named: str, *, has_certificates: bool) -> Protection:
        protection = protection_of(
            address,
            field=named,
            has_certificates=has_certificates,
            plaintext_allowed=self.plaintext_allowed,
        )
        if protection is Protection.NONE:
            _log.warning("plaintext_across_machines", **{named: address})
        return protection


def _channel_credentials(
    read: TlsMaterial, of_calls: grpc.CallCredentials | None
) -> grpc.ChannelCredentials:
    credentials = grpc.ssl_channel_credentials(read.ca, read.key, read.certificate)
    if of_calls is None:
        return credentials
    return grpc.composite_channel_credentials(credentials, of_calls)


LOCAL = Transport()
