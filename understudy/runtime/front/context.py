"""The context of one call, as grpc.aio's servicers know it, over ASGI."""

import asyncio
from collections.abc import Container, Iterable, Mapping, Sequence
from enum import Enum
from typing import Any, NoReturn
from urllib.parse import quote

import grpc

from understudy.runtime.front.frames import decoded_metadata, encoded_message, encoded_metadata
from understudy.runtime.front.stream_writer import Headers, StreamWriter

_NOT_METADATA = (b":", b"grpc-", b"host", b"te", b"content-type", b"x-forwarded-")
_CERTIFICATE = "x-forwarded-client-cert"  # set by Envoy, which removes any of the caller's
_CERTIFICATE_NAMES = "x509_subject_alternative_name"  # as grpc calls them
_NO_METADATA: Headers = ()
_OK_TRAILERS: Headers = ((b"grpc-status", b"0"),)


class CallEnd(Enum):
    """The reason for which a call was ended from outside its handler."""

    DEADLINE = "the deadline has passed"
    GONE = "the caller has disconnected"
    SLOW = "the request has not arrived within 30 s"
    CROWDED = "the request has not arrived, as those of too many calls of its address"
    SHUTDOWN = "the server is shutting down"


class AsgiContext(grpc.aio.ServicerContext[Any, Any]):
    """Serves the part of grpc's interface that depends on no transport."""

    def __init__(
        self,
        headers: Sequence[tuple[bytes, bytes]],
        names: Container[bytes],
        client: tuple[str, int] | None,
        deadline_s: float | None,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        """Keep the facts of the call.

        Args:
            headers: in the order in which they came.
            names: of the headers, each once.
            client: address and port of the peer; None if it is not known.
            deadline_s: on the clock of `loop`; None if the caller set none.
            loop: on which the handler runs, in the present task.
        """
        self._headers = headers
        self._names = names
        self._client = client
        self._deadline_s = deadline_s
        self._loop = loop
        self._task = asyncio.current_task(loop)
        self._code = grpc.StatusCode.OK
        self._details = ""
        self._first = _NO_METADATA
        self._last = _NO_METADATA
        self.end: CallEnd | None = None
        self.writer: StreamWriter | None = None  # of a call that answers with a stream

    def time_remaining(self) -> float:
        """Return the seconds until the deadline; None, as grpc does, if the caller set none."""
        if self._deadline_s is None:
            return None  # type: ignore[return-value]  # the stubs are wrong about this case
        return max(0.0, self._deadline_s - self._loop.time())

    def cancel(self, end: CallEnd) -> None:
        """End the call: its handler is cancelled."""
        if self.end is None and self._task is not None:
            self.end = end
            self._task.cancel()

    def set_status(self, code: grpc.StatusCode, details: str) -> None:
        self._code = code
        self._details = details

    def status_headers(self) -> Headers:
        """Return the headers that end the call."""
        if self._code is grpc.StatusCode.OK and not self._details and not self._last:
            return _OK_TRAILERS
        number: int = self._code.value[0]
        status = [(b"grpc-status", b"%d" % number)]
        if self._details:
            status.append((b"grpc-message", encoded_message(self._details)))
        return (*status, *self._last)

    def first_metadata(self) -> Headers:
        return self._first

    async def abort(
        self,
        code: grpc.StatusCode,
        details: str = "",
        trailing_metadata: Any = (),
    ) -> NoReturn:
        if code is grpc.StatusCode.OK:
            raise ValueError("abort: read OK; accepted: any other status")
        self.set_status(code, details)
        if trailing_metadata:
            self._last = _headers_of(trailing_metadata)
        raise grpc.aio.AbortError("the call has its status")

    async def abort_with_status(self, status: grpc.Status) -> NoReturn:
        await self.abort(status.code, status.details, status.trailing_metadata)

    async def write(self, message: bytes) -> None:
        if self.writer is None:
            raise TypeError("write: the method answers with one message, which its handler returns")
        await self.writer.write(message)

    async def read(self) -> NoReturn:
        raise NotImplementedError("read: take the iterator that the handler is given")

    async def send_initial_metadata(self, initial_metadata: Any) -> None:
        self._first = _headers_of(initial_metadata)
        if self.writer is not None:
            self.writer.start(self._first)

    def set_trailing_metadata(self, trailing_metadata: Any) -> None:
        self._last = _headers_of(trailing_metadata)

    def trailing_metadata(self) -> Any:
        return _metadata_of(self._last)

    def invocation_metadata(self) -> Any:
        return _metadata_of(self._headers)

    def texts_of(self, name: str) -> list[str]:
        """Return the values of one header, without a look at the values of the others."""
        wanted = name.encode("ascii")
        if wanted not in self._names:  # nearly always
            return []
        return [value.decode("latin-1") for each, value in self._headers if each == wanted]

    def set_code(self, code: grpc.StatusCode) -> None:
        self._code = code

    def code(self) -> grpc.StatusCode:
        return self._code

    def set_details(self, details: str) -> None:
        self._details = details

    def details(self) -> str:
        return self._details

    def set_compression(self, compression: grpc.Compression) -> None:
        """Ignore it: answers are never compressed, which the protocol permits."""

    def disable_next_message_compression(self) -> None:
        """Ignore it, as `set_compression`."""

    def peer(self) -> str:
        """Return the caller's address in grpc's notation."""
        if self._client is None:
            return "unknown"
        host, port = self._client
        return f"ipv6:{quote(f'[{host}]')}:{port}" if ":" in host else f"ipv4:{host}:{port}"

    def peer_identities(self) -> Iterable[bytes] | None:
        """Return None: connections are not authenticated."""
        return None

    def peer_identity_key(self) -> str | None:
        return None

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        """Return the names of the caller's certificate, as Envoy has checked it; empty without one."""
        names = [name for text in self.texts_of(_CERTIFICATE) for name in _dns_names(text)]
        return {_CERTIFICATE_NAMES: names} if names else {}

    def cancelled(self) -> bool:
        return self.end is not None


def _dns_names(text: str) -> list[bytes]:
    """Return the names in a header of Envoy's, `By=…;Hash=…;DNS=a;DNS=b`; none of another form."""
    parts = [part.partition("=") for part in text.split(";")]
    if not {key for key, _, _ in parts} <= {"By", "Hash", "DNS"}:
        return []
    return [value.encode() for key, _, value in parts if key == "DNS"]


def _headers_of(metadata: Any) -> Headers:
    return tuple(encoded_metadata(key, value) for key, value in metadata)


def _metadata_of(headers: Iterable[tuple[bytes, bytes]]) -> Any:
    pairs = (
        decoded_metadata(name, value)
        for name, value in headers
        if not name.startswith(_NOT_METADATA)
    )
    return grpc.aio.Metadata(*(pair for pair in pairs if pair is not None))
