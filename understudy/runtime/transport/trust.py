"""The trust of a process that calls receivers of others over HTTPS."""

import ssl
from pathlib import Path

from understudy.domain.errors import InvalidInputError


def trust_in(authorities: Path | None) -> ssl.SSLContext:
    """Return the trust in the authorities of a PEM file; in those of the system for None.

    Raises:
        InvalidInputError: the file cannot be read, or is not PEM.
    """
    try:
        return ssl.create_default_context(cafile=authorities)
    except (OSError, ssl.SSLError) as error:
        read = f"{authorities}: {error}"
        raise InvalidInputError.of("webhook_ca", read=read, accepted="a file in PEM") from error
