"""Certificates in files: read whole, checked, and read again when they were replaced."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog
from cryptography import x509

from understudy.domain.errors import Fault, InvalidInputError
from understudy.runtime.file_state import FileState, state_of
from understudy.runtime.secret_files import read_secret

_MOST_BYTES = 1 << 20
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class TlsMaterial:
    """The content of the files, in PEM. An absent one is None."""

    certificate: bytes | None
    key: bytes | None
    ca: bytes | None


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The certificate of a process with its key, and the authorities that it trusts; paths of PEM files.

    `certificate` and `key` are both set or both None.
    """

    certificate: Path | None = None  # the process's own first, then intermediate ones
    key: Path | None = None
    ca: Path | None = None

    @property
    def paths(self) -> tuple[Path | None, ...]:
        return self.certificate, self.key, self.ca

    def read(self, now: datetime | None = None) -> TlsMaterial:
        """Return the content of the files.

        Raises:
            InvalidInputError: a file cannot be read or is not PEM, the key is not that of the
                certificate or others may read it, or the certificate is not valid now.
        """
        material = TlsMaterial(
            certificate=_content(self.certificate, "tls_certificate"),
            key=None if self.key is None else read_secret(self.key, variable="tls_key").encode(),
            ca=_content(self.ca, "tls_ca"),
        )
        faults = []
        if material.certificate is not None:
            faults += _faults_of_chain(material.certificate, now or datetime.now(UTC))
        if material.ca is not None:
            faults += _faults_of_authorities(material.ca)
        if not faults and self.certificate is not None and self.key is not None:
            faults += _faults_of_pair(self.certificate, self.key)
        if faults:
            raise InvalidInputError(faults)
        return material


class FollowedFiles:
    """Certificate files, followed: their content is used until they have another usable one."""

    def __init__(self, files: TlsFiles, used: TlsMaterial | None) -> None:
        """`used`: the content in use; None if there is none yet."""
        self._files = files
        self._used = used
        self._states: list[FileState | None] | None = None  # of files whose content is in use
        self._unusable = ""

    def changed(self) -> TlsMaterial | None:
        """Return the new content, which counts as used from now on; None if the one in use stays.

        Files that are half replaced, damaged or expired change nothing; the log says so once.
        """
        try:
            found = self._files.read()
        except InvalidInputError as error:
            if str(error) != self._unusable:
                _log.error("certificates_unusable", why=str(error))
            self._unusable = str(error)
            return None
        self._unusable = ""
        if found == self._used:
            return None
        if self._used is not None:
            _log.info("certificates_replaced")
        self._used = found
        return found

    def changed_by_state(self) -> TlsMaterial | None:
        """Return the same, but read only files that were replaced, or not usable: for many calls."""
        states = [None if path is None else state_of(path) for path in self._files.paths]
        if states == self._states:
            return None
        found = self.changed()
        self._states = None if self._unusable else states
        return found


def _content(path: Path | None, field: str) -> bytes | None:
    if path is None:
        return None
    try:
        content = path.read_bytes()
    except OSError as error:
        read = f"{error.strerror}: {path}"
        raise InvalidInputError([Fault(field, read, "a file in PEM that we can read")]) from error
    if len(content) > _MOST_BYTES:
        read = f"{len(content)} bytes in {path}"
        raise InvalidInputError([Fault(field, read, f"at most {_MOST_BYTES} bytes")])
    return content


def _faults_of_chain(content: bytes, now: datetime) -> list[Fault]:
    try:
        own = x509.load_pem_x509_certificates(content)[0]
    except ValueError:
        return [Fault("tls_certificate", "a file without certificates", "certificates in PEM")]
    if own.not_valid_before_utc <= now < own.not_valid_after_utc:
        return []
    read = f"a certificate for {own.not_valid_before_utc} to {own.not_valid_after_utc}"
    return [Fault("tls_certificate", read, f"one that is valid at {now:%Y-%m-%d %H:%M:%S} UTC")]


def _faults_of_authorities(content: bytes) -> list[Fault]:
    try:
        x509.load_pem_x509_certificates(content)
    except ValueError:
        return [Fault("tls_ca", "a file without certificates", "certificates in PEM")]
    return []


def _faults_of_pair(certificate: Path, key: Path) -> list[Fault]:
    try:
        # An encrypted key would ask at the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, OSError, ValueError) as error:
        read = f"{key}, {getattr(error, 'reason', None) or error}"
        return [Fault("tls_key", read, f"the unencrypted key of {certificate} in PEM")]
    return []
