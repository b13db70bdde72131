"""Certificates for tests, of an authority that each test makes for itself."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

from understudy.runtime.transport.tls_files import TlsFiles

YEAR = timedelta(days=365)


class Authority:
    """An authority whose certificates are files below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ca = trustme.CA(organization_name="tests")
        self.ca_file = folder / "ca.pem"
        folder.mkdir(parents=True, exist_ok=True)
        self._ca.cert_pem.write_to_path(self.ca_file)

    def files_of(
        self,
        *names: str,
        folder: str = "own",
        home: Path | None = None,
        expires: datetime | None = None,
    ) -> TlsFiles:
        """Return files for a process with these names, hosts or addresses; written over older ones.

        They are written to `home`, by default the `folder` of the authority.
        """
        issued = self._ca.issue_cert(
            *names,
            common_name=names[0],
            not_before=datetime.now(UTC) - YEAR,
            not_after=expires or datetime.now(UTC) + YEAR,
        )
        home = home or self.folder / folder
        home.mkdir(exist_ok=True)
        written = TlsFiles(home / "certificate.pem", home / "key.pem", self.ca_file)
        assert written.certificate is not None
        assert written.key is not None
        written.certificate.write_bytes(b"".join(each.bytes() for each in issued.cert_chain_pems))
        written.key.touch(mode=0o600)
        written.key.write_bytes(issued.private_key_pem.bytes())
        return written
