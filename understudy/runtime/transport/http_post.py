"""One HTTP request with a body, within a limit of time: no redirects, no proxies, nothing kept open."""

import asyncio
import ssl
from collections.abc import Mapping

from understudy.domain.errors import UnavailableError

_MOST_LINES = 100  # of interim answers


async def post(
    address: tuple[str, int],
    path: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    context: ssl.SSLContext | None,
    within_s: float,
) -> int:
    """Send JSON and return the status of the answer, whose body is not read.

    Args:
        address: host and port.
        path: with the query, in ASCII.
        body: the JSON.
        headers: besides those of every request.
        context: the trust in the receiver's certificate; None for plaintext.
        within_s: limit for all of it.

    Raises:
        UnavailableError: there is no connection, no answer in time, or none in HTTP.
    """
    host, port = address
    dependency = f"receiver {host}:{port}"
    try:
        async with asyncio.timeout(within_s):
            reader, writer = await asyncio.open_connection(host, port, ssl=context)
            try:
                writer.write(_head(host, port, path, len(body), headers) + body)
                await writer.drain()
                return await _status(reader)
            finally:
                writer.transport.abort()  # an end in order would wait for the receiver
    except TimeoutError as error:
        raise UnavailableError(dependency, f"no answer within {within_s:g} s") from error
    except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
        raise UnavailableError(dependency, f"{type(error).__name__}: {error}") from error


def _head(host: str, port: int, path: str, length: int, headers: Mapping[str, str]) -> bytes:
    named = f"[{host}]" if ":" in host else host
    lines = {
        "host": f"{named}:{port}",
        "content-type": "application/json",
        "content-length": str(length),
        "user-agent": "understudy-registry",
        "connection": "close",
        **headers,
    }
    written = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST {path} HTTP/1.1\r\n{written}\r\n".encode("ascii")


async def _status(reader: asyncio.StreamReader) -> int:
    """Return the status of the first answer that is not an interim one (1xx)."""
    for _ in range(_MOST_LINES):
        line = await reader.readline()
        if not line:
            raise EOFError("the connection ended without an answer")
        if line.startswith(b"HTTP/") and (status := int(line.split()[1])) // 100 != 1:
            return status
    raise ValueError("no answer in HTTP")
