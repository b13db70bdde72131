"""The number of copies of each record, asked from the servers, because it divides time limits."""

import threading
from typing import Any, Final

from aerospike import exception as aerospike_errors

ASSUMED_COPIES: Final = 2  # until a server has answered
_EVERY_S: Final = 10.0
_SOON_S: Final = 1.0  # while no server answers
_QUESTION: Final = "replicas"


class ReplicaCount:
    """Follows the replication factor of a namespace, from a thread of its own."""

    def __init__(self, client: Any, namespace: str) -> None:
        self.copies = ASSUMED_COPIES
        self._client = client
        self._namespace = namespace
        self._is_closed = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="aerospike-replicas", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Return when the client is no longer asked, so that it may be closed."""
        self._is_closed.set()
        self._thread.join()

    def _follow(self) -> None:
        pause_s = 0.0
        while not self._is_closed.wait(pause_s):
            found = self._ask()
            if found is not None:
                self.copies = found
            pause_s = _SOON_S if found is None else _EVERY_S

    def _ask(self) -> int | None:
        try:
            answer = self._client.info_random_node(_QUESTION)
        except aerospike_errors.AerospikeError:
            return None
        return copies_in(str(answer), self._namespace)


def copies_in(answer: str, namespace: str) -> int | None:
    """Return the number of copies that `replicas NAMESPACE:REGIME,COPIES,MAP…;…` tells, at least 1.

    None if it does not name the namespace.
    """
    for entry in answer.partition("\t")[2].strip().split(";"):
        name, _, told = entry.partition(":")
        parts = told.split(",", 2)
        if name == namespace and len(parts) > 1 and parts[1].isdecimal():
            return max(1, int(parts[1]))
    return None
