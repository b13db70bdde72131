"""The log of a store's faults, given by the process that reads from it."""

from typing import Protocol


class StoreLog(Protocol):
    """Receives events about the store and its reader, as structlog's loggers do."""

    def info(self, event: str, **facts: object) -> object: ...

    def warning(self, event: str, **facts: object) -> object: ...

    def error(self, event: str, **facts: object) -> object: ...


class NoLog:
    """The log of commands, whose output is their answer."""

    def info(self, event: str, **facts: object) -> None: ...

    def warning(self, event: str, **facts: object) -> None: ...

    def error(self, event: str, **facts: object) -> None: ...
