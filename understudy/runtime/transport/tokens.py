"""The token that proves the name of a caller: fixed, or in a file that may be replaced."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import grpc
import structlog

from understudy.domain.errors import InvalidInputError
from understudy.runtime.file_state import state_of
from understudy.runtime.secret_files import read_secret

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class TokenFile:
    """A token by the path of its file, which we can read and others cannot."""

    path: Path

    def read(self) -> str:
        """Return the token.

        Raises:
            InvalidInputError: see `read_secret`.
        """
        return read_secret(self.path, variable="token")


Token = str | TokenFile


class _Answer(Protocol):
    def __call__(
        self, metadata: tuple[tuple[str, str], ...], error: Exception | None, /
    ) -> None: ...


class FollowedToken(grpc.AuthMetadataPlugin):
    """Gives each call the token that its file has then; a token that is unusable changes nothing."""

    def __init__(self, file: TokenFile) -> None:
        """Read the file.

        Raises:
            InvalidInputError: see `TokenFile.read`.
        """
        self._file = file
        self._state = state_of(file.path)
        self._token = file.read()

    def __call__(self, _context: object, answer: _Answer) -> None:
        """Answer in the thread of gRPC that asks; several may."""
        answer((("authorization", f"Bearer {self._current()}"),), None)

    def _current(self) -> str:
        state = state_of(self._file.path)  # before the content: a later change is seen next time
        if state == self._state:
            return self._token
        try:
            self._token = self._file.read()
        except InvalidInputError as error:
            _log.error("token_unusable", why=str(error))
        else:
            _log.info("token_replaced", file=str(self._file.path))
        self._state = state
        return self._token


def call_credentials(token: Token) -> grpc.CallCredentials:
    """Return the credentials by which each call of a channel proves its caller's name.

    Raises:
        InvalidInputError: see `TokenFile.read`.
    """
    if isinstance(token, TokenFile):
        return grpc.metadata_call_credentials(FollowedToken(token))
    return grpc.access_token_call_credentials(token)
