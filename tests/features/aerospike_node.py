"""An Aerospike node in this process, over TCP, for the real C client; it can inject faults."""

import argparse
import signal
import socket
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from tests.features import aerospike_wire as wire

_ALL_PARTITIONS = b64encode(b"\xff" * 512).decode()
_LARGEST_RECORD_BYTES = 1024 * 1024
_LONGEST_TTL_S = 10 * 365 * 24 * 3600
_LONGEST_WAIT_S = 300.0
_Key = tuple[str, bytes]  # namespace, digest


@dataclass
class Faults:
    """The faults to inject from now on; none by default."""

    delay_s: float = 0.0  # before each answer on a data connection
    result_code: int | None = None  # instead of the true answer
    row_result_code: int | None = None  # of each row of a batch
    answer_rows: int | None = None  # a batch ends after this many rows
    drop: bool = False  # close the connection instead of answering


class AerospikeNode:
    """One node, all partitions. Records outlive `stop` and `start`."""

    def __init__(
        self,
        namespace: str = "features",
        *,
        others: tuple[str, ...] = (),
        port: int = 0,
        utc_now_s: Callable[[], float] = lambda: datetime.now(UTC).timestamp(),
    ) -> None:
        self.namespace = namespace  # of the URL
        self._namespaces = (namespace, *others)
        self.faults = Faults()
        self.port = port
        self.lets_expire = True  # False behaves like `nsup-period 0`
        self.is_forming = False  # True behaves like a server in its first two seconds
        self.copies = 1  # of each record, as told to clients; this node has them all
        self.requests = 0  # data messages received, answered or not
        self.durable_deletes = 0  # of a record that was there or not
        self.records: dict[_Key, wire.Record] = {}
        self.asked_names: set[str] = set()  # in requests for information
        self._utc_now_s = utc_now_s
        self._awake = threading.Event()
        self._awake.set()
        self._never = threading.Event()  # waited on for a delay
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self._connections: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []

    @property
    def url(self) -> str:
        return f"aerospike://127.0.0.1:{self.port}/{self.namespace}"

    def start(self) -> None:
        listener = socket.create_server(("127.0.0.1", self.port), backlog=256)
        self.port = listener.getsockname()[1]
        self._listener = listener
        self._spawn(self._accept, listener)

    def stop(self) -> None:
        """Close the port and every connection, as a killed node does."""
        self._awake.set()
        if self._listener is not None:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        with self._lock:
            open_connections = list(self._connections)
        for connection in open_connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(timeout=60.0)
        self._threads.clear()

    def hang(self) -> None:
        """Stop answering on all connections until `resume`."""
        self._awake.clear()

    def resume(self) -> None:
        self._awake.set()

    def _spawn(self, target: Callable[[socket.socket], None], argument: socket.socket) -> None:
        thread = threading.Thread(target=target, args=(argument,), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._connections.add(connection)
            self._spawn(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError, EOFError):
            while True:
                header = _receive(connection, 8)
                body = _receive(connection, int.from_bytes(header[2:], "big"))
                self.requests += header[1] == wire.MESSAGE
                self._awake.wait(_LONGEST_WAIT_S)
                if header[1] == wire.INFO:
                    connection.sendall(wire.frame(wire.INFO, self._info(body)))
                elif not self._answer(connection, body):
                    break
        with self._lock:
            self._connections.discard(connection)

    def _info(self, body: bytes) -> bytes:
        replicas = f"0,{self.copies}" + f",{_ALL_PARTITIONS}" * self.copies
        values = {
            "node": "A1",
            "build": "8.1.2.0",
            "cluster-name": "null",
            "partition-generation": "-1" if self.is_forming else "0",
            "peers-generation": "0",
            "peers-clear-std": "0,3000,[]",
            "peers-clear-alt": "0,3000,[]",
            "service-clear-std": f"127.0.0.1:{self.port}",
            "replicas": ";".join(f"{name}:{replicas}" for name in self._namespaces),
        }
        names = body.decode().splitlines()
        self.asked_names.update(names)
        lines = [
            f"{name}\t{values.get(name, 'ok' if name.startswith('user-agent') else '')}\n"
            for name in names
        ]
        return "".join(lines).encode()

    def _answer(self, connection: socket.socket, body: bytes) -> bool:
        faults = Faults(result_code=wire.FORMING) if self.is_forming else self.faults
        if faults.drop:
            return False
        if faults.delay_s:
            self._never.wait(faults.delay_s)
        request = wire.read_request(body)
        if wire.BATCH_FIELD in request.fields:
            for part in self._batch(request, faults):
                connection.sendall(wire.frame(wire.MESSAGE, part))
        else:
            connection.sendall(wire.frame(wire.MESSAGE, self._single(request, faults)))
        return True

    def _batch(self, request: wire.Request, faults: Faults) -> Iterator[bytes]:
        if faults.result_code is not None:
            yield wire.reply(faults.result_code, info3=wire.LAST)
            return
        rows = list(wire.read_batch(request.fields[wire.BATCH_FIELD]))
        part = b""
        for row in rows[: faults.answer_rows]:
            part += self._row(row, faults)
            if len(part) > 128 * 1024:
                yield part
                part = b""
        if part:
            yield part
        yield wire.reply(wire.OK, info3=wire.LAST)

    def _row(self, row: wire.BatchRow, faults: Faults) -> bytes:
        key = (row.namespace, row.digest)
        if faults.row_result_code is not None:
            return wire.reply(faults.row_result_code, index=row.index)
        if row.namespace not in self._namespaces:
            return wire.reply(wire.NO_NAMESPACE, index=row.index)
        if row.request.info2 & wire.WRITE:
            with self._lock:
                return wire.reply(*self._written(key, row.request), index=row.index)
        record = self._find(key)
        if record is None:
            return wire.reply(wire.NOT_FOUND, index=row.index)
        return wire.reply(wire.OK, record, wire.chosen(record, row.request), index=row.index)

    def _single(self, request: wire.Request, faults: Faults) -> bytes:
        if faults.result_code is not None:
            return wire.reply(faults.result_code)
        namespace = request.fields[wire.NAMESPACE_FIELD].decode()
        if namespace not in self._namespaces:
            return wire.reply(wire.NO_NAMESPACE)
        key = (namespace, request.fields[wire.DIGEST_FIELD])
        with self._lock:
            if request.info2 & wire.WRITE:
                return wire.reply(*self._written(key, request))
        record = self._find(key)
        if record is None:
            return wire.reply(wire.NOT_FOUND)
        return wire.reply(wire.OK, record, wire.chosen(record, request))

    def _written(self, key: _Key, request: wire.Request) -> tuple[int, wire.Record | None]:
        record = self._find(key)
        if request.info2 & wire.DELETE:
            self.durable_deletes += bool(request.info2 & wire.DURABLE_DELETE)
            return self._removed(key), None
        condition = request.fields.get(wire.FILTER_FIELD)
        if condition and record is not None and not wire.holds(condition, record.bins):
            return wire.FILTERED_OUT, None
        if refused := self._why_refused(request, record):
            return refused, None
        bins = wire.bins_after(record.bins if record else {}, request.operations)
        if sum(len(value) for _, value in bins.values()) > _LARGEST_RECORD_BYTES:
            return wire.TOO_BIG, None
        if not bins:  # a record without bins does not exist
            return self._removed(key), None
        record = record or wire.Record()
        record.bins = bins
        record.generation += 1
        expires = request.ttl_s not in {0, wire.NEVER_EXPIRE}
        record.expires_at_s = int(self._utc_now_s()) + request.ttl_s if expires else None
        self.records[key] = record
        return wire.OK, record

    def _removed(self, key: _Key) -> int:
        return wire.OK if self.records.pop(key, None) else wire.NOT_FOUND

    def _why_refused(self, request: wire.Request, record: wire.Record | None) -> int:
        """Return the result code of a refused write, or 0."""
        if any(operation.kind != wire.OP_WRITE for operation in request.operations):
            return wire.BAD_REQUEST  # the adapter only uses writes
        if request.info2 & wire.CREATE_ONLY and record is not None:
            return wire.EXISTS
        generation = record.generation if record else 0
        if request.info2 & wire.IF_GENERATION and request.generation != generation:
            return wire.OTHER_GENERATION
        if request.ttl_s in {0, wire.NEVER_EXPIRE}:
            return wire.OK
        if not self.lets_expire:
            return wire.FORBIDDEN
        return wire.BAD_REQUEST if request.ttl_s > _LONGEST_TTL_S else wire.OK

    def _find(self, key: _Key) -> wire.Record | None:
        record = self.records.get(key)
        if record is None or record.expires_at_s is None:
            return record
        return record if record.expires_at_s >= int(self._utc_now_s()) else None


@contextmanager
def running_node(*others: str) -> Iterator[AerospikeNode]:
    """Yield a started node, with `others` as further namespaces, and stop it at the end."""
    node = AerospikeNode(others=others)
    node.start()
    try:
        yield node
    finally:
        node.stop()


def _receive(connection: socket.socket, length: int) -> bytes:
    content = bytearray()
    while len(content) < length:
        part = connection.recv(length - len(content))
        if not part:
            raise EOFError
        content += part
    return bytes(content)


def main() -> None:
    """Serve until stopped, as a process of its own (benchmarks, demos without a server)."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--namespace", default="features")
    options = parser.parse_args()
    heeded = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, heeded)  # in the node's threads too
    node = AerospikeNode(options.namespace, port=options.port)
    node.start()
    print(node.url, flush=True)  # noqa: T201 - the parent process reads the address
    signal.sigwait(heeded)
    node.stop()


if __name__ == "__main__":
    main()
