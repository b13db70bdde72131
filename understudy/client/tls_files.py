"""The files of a connection with TLS. A client uses their present content for its next call."""

import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

_log = logging.getLogger("understudy.client")

_FileState = tuple[int, int, int] | None  # inode, bytes, change in ns; None for no file


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Certificates in PEM, and the token of each call, for the `credentials` of a client.

    Attributes:
        roots: certificates of the authorities that may have signed the router's; by default gRPC's.
        certificate: of the caller, with its chain, if the router demands one; with `key`.
        key: private key of `certificate`, unencrypted.
        token_file: contains the bearer token of each call, in one line.
        token: returns it instead, in a thread of gRPC, as quickly as it can.
    """

    roots: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    token_file: Path | None = None
    token: Callable[[], str] | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            given = "certificate" if self.key is None else "key"
            raise ValueError(f"certificate and key: read only {given}; accepted: both or none")
        if self.token is not None and self.token_file is not None:
            raise ValueError("token and token_file: read both; accepted: one of them or none")


class FollowedTls:
    """Credentials with the content of `files`, until they have another that can be used."""

    def __init__(self, files: TlsFiles) -> None:
        """Read the files.

        Raises:
            OSError: a file cannot be read.
            ValueError: a file is not PEM, or the key is not that of the certificate.
        """
        self._files = files
        token = files.token if files.token_file is None else _FollowedToken(files.token_file)
        self._of_calls = (
            None if token is None else grpc.metadata_call_credentials(_BearerToken(token))
        )
        self._states = self._present_states()
        self._content = self._read()

    @property
    def credentials(self) -> grpc.ChannelCredentials:
        channel = grpc.ssl_channel_credentials(*self._content)
        if self._of_calls is None:
            return channel
        return grpc.composite_channel_credentials(channel, self._of_calls)

    def is_renewed(self) -> bool:
        """Return whether the files have another usable content, which counts from now on.

        Files that are half replaced or damaged change nothing until they change again.
        """
        states = self._present_states()
        if states == self._states:
            return False
        self._states = states  # of before the content: a later change is seen next time
        try:
            content = self._read()
        except (OSError, ValueError) as error:
            _log.warning("the certificates in use stay: %s", error)
            return False
        is_new, self._content = content != self._content, content
        return is_new

    def _present_states(self) -> list[_FileState]:
        files = self._files
        return [_state_of(path) for path in (files.roots, files.key, files.certificate)]

    def _read(self) -> tuple[bytes | None, bytes | None, bytes | None]:
        files = self._files
        roots, key, certificate = (
            None if path is None else path.read_bytes()
            for path in (files.roots, files.key, files.certificate)
        )
        checked = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            if roots is not None:
                checked.load_verify_locations(cadata=roots.decode("ascii"))
            if files.certificate is not None:
                # An encrypted key would ask at the terminal.
                checked.load_cert_chain(files.certificate, files.key, password="")
        except (ssl.SSLError, UnicodeDecodeError) as error:
            raise ValueError(
                f"{files}: {error}; accepted: PEM, a certificate with its key"
            ) from error
        return roots, key, certificate


class _FollowedToken:
    """The token in a file; a file that cannot be used leaves the token of before."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._state = _state_of(path)
        self._token = _read_token(path)

    def __call__(self) -> str:
        state = _state_of(self._path)
        if state != self._state:
            self._state = state
            try:
                self._token = _read_token(self._path)
            except (OSError, ValueError) as error:
                _log.warning("the token in use stays: %s", error)
        return self._token


class _BearerToken(grpc.AuthMetadataPlugin):
    def __init__(self, token: Callable[[], str]) -> None:
        self._token = token

    def __call__(self, _context: object, callback: Any) -> None:
        try:
            metadata = (("authorization", f"Bearer {self._token()}"),)
        except Exception as error:  # noqa: BLE001 - gRPC ends the call with it
            callback((), error)
        else:
            callback(metadata, None)


def _read_token(path: Path) -> str:
    token = path.read_text("ascii").strip()
    if not token or not token.isprintable():
        raise ValueError(
            f"token_file: read nothing printable in {path}; accepted: a token in ASCII"
        )
    return token


def _state_of(path: Path | None) -> _FileState:
    if path is None:
        return None
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
