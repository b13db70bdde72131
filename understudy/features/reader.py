"""`python -m understudy.features.reader URL FD`: reads one store for the process that started it.

The URL is for people who list processes; the first request says how to open the store.

The libraries of stores are written in C, and damaged files or foreign bytes can end the process
that reads them. So that process is this one, which answers nothing else.
"""

import json
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from understudy.domain.errors import NotFoundError, UnavailableError, UnderstudyError
from understudy.domain.features import FeatureView
from understudy.features.adapters.reader_wire import (
    Asked,
    Told,
    answer,
    packed_records,
    receive_frame,
    requested,
)
from understudy.features.ports import BlockingStore, UnusableError, ViewRead

if TYPE_CHECKING:
    from understudy.features.adapters.aerospike_client import AerospikeOptions

_LONGEST_VERIFICATION_S = 5.0  # enough for about 3 million records; the rest as they are read

_Frame = tuple[int, int, bytes]


def main(arguments: list[str]) -> None:
    _, descriptor = arguments
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that reads from us
    # If the asking process has ended, so does this one, without a word.
    with suppress(OSError), socket.socket(fileno=int(descriptor)) as connection:
        with connection.makefile("rb") as requests:
            first = receive_frame(requests.read)
            if first is None:
                return
            try:
                store = open_verified(requested(first[2]))
                note = store.condition()
            except (UnderstudyError, OSError) as error:
                connection.sendall(answer(Told.UNUSABLE, 0, _why(error).encode()))
                return
            connection.sendall(answer(Told.READY, 0, note.encode()))
            Reader(store, connection, requests).serve()
        store.close_now()


def open_verified(opening: "Path | AerospikeOptions") -> BlockingStore:
    """Open a store, and verify it.

    Raises:
        NotFoundError: there is no store in this folder.
        UnavailableError: it cannot be opened, or is damaged.
    """
    # Each store has its own libraries, and a reader needs one of them.
    if isinstance(opening, Path):
        from understudy.features.adapters.lmdb_store import LmdbStore  # noqa: PLC0415 - see above

        store = LmdbStore(opening)
        store.verify(longest_s=_LONGEST_VERIFICATION_S)
        return store
    from understudy.features.adapters.aerospike_store import AerospikeStore  # noqa: PLC0415 - see above

    return AerospikeStore(opening)


class Reader:
    """Answers requests from as many threads as the store can use.

    The threads take turns in receiving: the one that has a request lets the next one receive, so
    no request is handed from thread to thread.
    """

    def __init__(self, store: BlockingStore, connection: socket.socket, requests: BinaryIO) -> None:
        self._store = store
        self._requests = requests
        self._connection = connection
        self._views: list[FeatureView] = []
        self._receiving = threading.Lock()
        self._sending = threading.Lock()
        self._has_ended = False

    def serve(self) -> None:
        """Return at the end of the stream, or when the store has become unusable."""
        threads = [
            threading.Thread(target=self._serve, name=f"reader-{index}")
            for index in range(1, self._store.threads)
        ]
        for thread in threads:
            thread.start()
        self._serve()
        for thread in threads:
            thread.join()

    def _serve(self) -> None:
        while (frame := self._next()) is not None:
            kind, number, body = frame
            try:
                reply = self._answered(Asked(kind), number, requested(body))
            except UnusableError as error:
                reply = answer(Told.UNUSABLE, number, error.why.encode())
                self._has_ended = True
            except UnavailableError as error:
                reply = answer(Told.UNAVAILABLE, number, error.why.encode())
            except Exception as error:  # noqa: BLE001 - request boundary: the asker logs it
                reply = answer(Told.FAILED, number, repr(error).encode(errors="replace"))
            try:
                with self._sending:
                    self._connection.sendall(reply)
                if self._has_ended:
                    self._connection.shutdown(socket.SHUT_RDWR)  # wakes the other threads
            except OSError:  # the asking process has ended
                return

    def _next(self) -> _Frame | None:
        """Return the next request; views that come before it are kept."""
        with self._receiving:
            while not self._has_ended:
                frame = receive_frame(self._requests.read)
                if frame is None or frame[0] != Asked.VIEW:
                    return frame
                self._views.append(requested(frame[2]))
        return None

    def _answered(self, kind: Asked, number: int, value: Any) -> bytes:
        match kind:
            case Asked.READ:
                deadline_s, asked = value
                reads = [ViewRead(self._views[view], ids) for view, ids in asked]
                records = self._store.read_blocking(reads, timeout_s=_left_s(deadline_s))
                return answer(Told.RECORDS, number, packed_records(records))
            case Asked.PING:
                self._store.ping_blocking(timeout_s=_left_s(value))
                return answer(Told.RECORDS, number)
            case Asked.NEWEST:
                deadline_s, view = value
                newest_ms = self._store.newest_blocking(
                    self._views[view], timeout_s=_left_s(deadline_s)
                )
                shown = None if newest_ms is None else str(newest_ms).encode()
                return answer(Told.RECORDS, number, packed_records([[shown]]))
            case Asked.CONDITION:
                told = {"note": self._store.condition(), "counters": self._store.counters()}
                return answer(Told.CONDITION, number, json.dumps(told).encode())
            case _:
                raise AssertionError(f"{kind} is no request of its own")


def _why(error: Exception) -> str:
    """Return the reason without the name of the store, which the asking process knows."""
    match error:
        case UnavailableError():
            return error.why
        case NotFoundError():
            return "; ".join(["it does not exist", *getattr(error, "__notes__", ())])
        case _:
            return str(error)


def _left_s(deadline_s: float) -> float:
    """Return the time until `deadline_s`, on the clock that all processes of a machine share."""
    left_s = deadline_s - time.monotonic()
    if left_s <= 0:
        raise UnavailableError("feature store", "no time left to read")
    return left_s


if __name__ == "__main__":
    main(sys.argv[1:])
