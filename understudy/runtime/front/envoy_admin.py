"""Envoy's admin interface, on its Unix socket."""

import asyncio
import re

from understudy.domain.errors import UnavailableError
from understudy.runtime.front.envoy_config import OPEN_CALLS_STAT

_ANSWER_S = 5.0
_MOST_ANSWER_BYTES = 64 * 1024
_STATUS = re.compile(rb"HTTP/1\.1 ([0-9]{3}) ")
_OPEN_CALLS = re.compile(re.escape(OPEN_CALLS_STAT).encode() + rb": ([0-9]+)")


class EnvoyAdmin:
    """Asks Envoy, with a connection for each question: there are a few in a process's life."""

    def __init__(self, socket: str) -> None:
        self._socket = socket

    async def is_live(self) -> bool:
        """Return whether the listener is open."""
        try:
            answer = await self._ask("GET", "/ready")
        except UnavailableError:
            return False  # not even the admin interface is
        return answer.startswith(b"HTTP/1.1 200 ")

    async def open_calls(self) -> int:
        """Return the number of calls that Envoy has accepted and not answered to the end."""
        found = _OPEN_CALLS.search(await self._ask("GET", f"/stats?filter={OPEN_CALLS_STAT}"))
        return 0 if found is None else int(found[1])  # it does not exist before the first call

    async def begin_drain(self) -> None:
        """Tell callers, with their next answers, to connect elsewhere."""
        await self._post("/drain_listeners?graceful&skip_exit")

    async def stop_listening(self) -> None:
        """Accept no more connections; those that are open stay."""
        await self._post("/drain_listeners")

    async def quit(self) -> None:
        """End Envoy, which then ends the application."""
        await self._post("/quitquitquit")

    async def _post(self, target: str) -> None:
        answer = await self._ask("POST", target)
        status = _STATUS.match(answer)
        if status is None or status[1] != b"200":
            raise UnavailableError(f"Envoy's admin {target}", answer[:100].decode("latin-1"))

    async def _ask(self, method: str, target: str) -> bytes:
        """Return the raw answer.

        Raises:
            UnavailableError: there is none.
        """
        request = f"{method} {target} HTTP/1.1\r\nhost: admin\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        try:
            async with asyncio.timeout(_ANSWER_S):
                reader, writer = await asyncio.open_unix_connection(self._socket)
                try:
                    writer.write(request.encode())
                    return await reader.read(_MOST_ANSWER_BYTES) + await reader.read(
                        _MOST_ANSWER_BYTES
                    )
                finally:
                    writer.close()
        except (OSError, TimeoutError) as error:
            raise UnavailableError(f"Envoy's admin {target}", str(error)) from error
