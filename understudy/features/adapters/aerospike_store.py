"""Feature store in Aerospike: one `batch_read` per batch, in a worker thread."""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Any, TypeVar

from aerospike import exception as aerospike_errors

from understudy.domain.errors import UnavailableError
from understudy.domain.features import FeatureView
from understudy.domain.record_layouts import BinsLayout
from understudy.features.adapters.aerospike_bins import BinsCodec, bins_to_ask
from understudy.features.adapters.aerospike_client import (
    EVENT_TIME_BIN,
    RECORD_BIN,
    AerospikeOptions,
    open_client,
    reason_of,
    reason_of_error,
)
from understudy.features.adapters.aerospike_feast import FeastCodec
from understudy.features.adapters.aerospike_keys import newest_key, place_of, record_keys
from understudy.features.adapters.aerospike_replicas import ReplicaCount
from understudy.features.decisions.attempts import plan_attempts
from understudy.features.decisions.entity_keys import StoreKey
from understudy.features.ports import UNANSWERED, ViewRead

_OK = 0
_NOT_FOUND = 2
_ANSWERED = {_OK, _NOT_FOUND}
_PARTIAL = {_OK, -16}  # codes of a batch whose rows carry their own results
_UNDECODABLE = -1
_NOT_A_RECORD = b"?"  # matches no view, so the decoder counts it

T = TypeVar("T")
_Key = tuple[str, str, StoreKey]
_Codec = BinsCodec | FeastCodec
_Row = dict[str, Any] | bytes | None  # bins, UNANSWERED, no record


@dataclass(slots=True)
class AerospikeCounts:
    """Counts of results that are neither a record nor a missing record."""

    unanswered_keys: int = 0
    undecodable_records: int = 0
    unusable_values: int = 0


def utc_now_s() -> float:
    return datetime.now(UTC).timestamp()


class AerospikeStore:
    """Reads packed records, and converts records of one bin per feature to packed ones."""

    def __init__(
        self, options: AerospikeOptions, *, now_s: Callable[[], float] = utc_now_s
    ) -> None:
        self.counts = AerospikeCounts()
        self._options = options
        self._now_s = now_s
        self.threads = options.threads
        self._client = open_client(options)
        self._replicas = ReplicaCount(self._client, options.namespace)
        self._owner_pid = os.getpid()
        self._executor = ThreadPoolExecutor(options.threads, thread_name_prefix="aerospike-read")
        self._codecs: dict[FeatureView, _Codec] = {}

    @property
    def copies(self) -> int:
        """Copies of each record in the cluster, as far as known."""
        return self._replicas.copies

    async def read(
        self, reads: Sequence[ViewRead], *, timeout_s: float
    ) -> list[list[bytes | None]]:
        """Read the whole batch in one hop to a worker thread."""
        if timeout_s <= 0:
            raise self._unavailable("no time left to read")
        return await self._hop(lambda: self.read_blocking(reads, timeout_s=timeout_s), timeout_s)

    def counters(self) -> Mapping[str, int]:
        return asdict(self.counts)

    def condition(self) -> str:
        return ""

    def troubles(self) -> Sequence[str]:
        return ()

    async def ping(self, *, timeout_s: float) -> None:
        await self._hop(lambda: self.ping_blocking(timeout_s=timeout_s), timeout_s)

    def ping_blocking(self, *, timeout_s: float) -> None:
        """Read a key that need not exist, because the port opens before a server can answer.

        Raises:
            UnavailableError: there is no answer, or none from this namespace.
        """
        key = (self._options.namespace, f"{self._options.set_prefix}_ping", "ping")
        self._rows([key, key], None, timeout_s)

    async def newest_event_time_ms(self, view: FeatureView, *, timeout_s: float) -> int | None:
        return await self._hop(lambda: self.newest_blocking(view, timeout_s=timeout_s), timeout_s)

    def newest_blocking(self, view: FeatureView, *, timeout_s: float) -> int | None:
        key = newest_key(self._options, view)
        (row,) = self._rows([key], [EVENT_TIME_BIN], timeout_s)
        return int(row[EVENT_TIME_BIN]) if isinstance(row, dict) else None

    async def _hop(self, work: Callable[[], T], timeout_s: float) -> T:
        """Return the result of `work` in a worker thread."""
        loop = asyncio.get_running_loop()
        try:
            # The client enforces its own time limit; this one covers the wait for a thread.
            return await asyncio.wait_for(loop.run_in_executor(self._executor, work), timeout_s)
        except TimeoutError as error:
            raise self._unavailable(f"no answer within {timeout_s * 1000:.0f} ms") from error

    def _rows(self, keys: list[_Key], bins: list[str] | None, timeout_s: float) -> list[_Row]:
        """Read all of `keys`, or raise."""
        rows = self._batch(keys, bins, timeout_s)
        if any(row is UNANSWERED for row in rows):
            raise self._unavailable("only some of the keys were answered")
        return rows

    async def close(self) -> None:
        """Wait for reads in progress, then close the client."""
        await asyncio.get_running_loop().run_in_executor(None, self.close_now)

    def close_now(self) -> None:
        self._executor.shutdown(wait=True, cancel_futures=True)
        if os.getpid() == self._owner_pid:  # closing an inherited client crashes the process
            self._replicas.close()
            self._client.close()

    def read_blocking(
        self, reads: Sequence[ViewRead], *, timeout_s: float
    ) -> list[list[bytes | None]]:
        """Read all views, packed and unpacked, in one request."""
        if os.getpid() != self._owner_pid:
            raise self._unavailable("the client was opened in another process")
        ids = [record_keys(read.view, read.entity_ids) for read in reads]
        codecs = [self._codec_of(read.view) for read in reads]
        places = [place_of(self._options, read.view) for read in reads]
        keys = [
            (namespace, set_name, each)
            for (namespace, set_name), some in zip(places, ids, strict=True)
            for each in some
            if each is not None
        ]
        rows = iter(self._batch(keys, bins_to_ask(codecs, packed=[RECORD_BIN]), timeout_s))
        return [
            self._records_of(codec, [None if each is None else next(rows) for each in some])
            for codec, some in zip(codecs, ids, strict=True)
        ]

    def _records_of(self, codec: _Codec | None, rows: Sequence[_Row]) -> list[bytes | None]:
        if codec is None:
            return [_record_of(row) for row in rows]
        found = [row for row in rows if isinstance(row, dict)]
        packed, unusable = codec.packed(found, now_ms=round(self._now_s() * 1000))
        self.counts.unusable_values += unusable
        records = iter(packed)
        return [next(records) if isinstance(row, dict) else row for row in rows]

    def _codec_of(self, view: FeatureView) -> _Codec | None:
        """Return the codec of a view of another layout, or None if its records are packed."""
        if view.layout is None:
            return None
        codec = self._codecs.get(view)
        if codec is None:
            codec = self._codecs[view] = (
                BinsCodec(view, view.layout)
                if isinstance(view.layout, BinsLayout)
                else FeastCodec(view, view.layout)
            )
        return codec

    def _batch(self, keys: list[_Key], bins: list[str] | None, timeout_s: float) -> list[_Row]:
        """Read `keys`. The client returns failures per row and raises only for invalid input."""
        if not keys:
            return []
        deadline_s = monotonic() + timeout_s
        answer = self._answer(keys, bins, timeout_s)
        rows = answer.batch_records
        if len(rows) != len(keys):  # an empty cluster returns no rows
            raise self._unavailable(reason_of(answer.result))
        failed = [row.result for row in rows if row.result not in _ANSWERED]
        if answer.result == _UNDECODABLE and len(failed) < max(2, len(rows)):
            return self._in_halves(keys, bins, deadline_s)
        if len(failed) == len(rows):
            code = answer.result if answer.result not in _PARTIAL else failed[0]
            raise self._unavailable(reason_of(code))
        self.counts.unanswered_keys += len(failed)
        return [
            row.record[2] if row.result == _OK else None if row.result == _NOT_FOUND else UNANSWERED
            for row in rows
        ]

    def _answer(self, keys: list[_Key], bins: list[str] | None, timeout_s: float) -> Any:
        if timeout_s <= 0:
            raise self._unavailable("no time left to read")
        attempts = plan_attempts(
            timeout_s, replicas=self.copies, most=self._options.max_retries + 1
        )
        policy = {"total_timeout": attempts.total_ms, "socket_timeout": attempts.each_ms}
        try:
            if bins is None:
                return self._client.batch_read(keys, policy=policy)
            return self._client.batch_read(keys, bins, policy)
        except aerospike_errors.AerospikeError as error:
            raise self._unavailable(reason_of_error(error)) from error

    def _in_halves(self, keys: list[_Key], bins: list[str] | None, deadline_s: float) -> list[_Row]:
        """Read keys among which is a record that the client cannot decode.

        The client answers such a record as one that lacks the broken value and those behind it,
        and no record behind it. Alone it is known to be the one.
        """
        if len(keys) == 1:
            self.counts.undecodable_records += 1
            return [UNANSWERED]
        middle = len(keys) // 2
        return [
            row
            for half in (keys[:middle], keys[middle:])
            for row in self._batch(half, bins, deadline_s - monotonic())
        ]

    def _unavailable(self, why: str) -> UnavailableError:
        return UnavailableError(self._options.dependency, why)


def _record_of(row: _Row) -> bytes | None:
    if not isinstance(row, dict):
        return row
    record = row.get(RECORD_BIN)
    return record if record is None or isinstance(record, bytes) else _NOT_A_RECORD
