"""The reader of a store: its frames, and reads while it ends."""

import asyncio
import os
import re
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.features.builders import a_record, a_view
from tests.logs.builders import wait_until
from tests.virtual_time import skip, turns
from understudy.domain.errors import InvalidInputError, UnavailableError
from understudy.features.adapters.reader_wire import (
    Asked,
    Told,
    answer,
    packed_records,
    receive_frame,
    request,
    requested,
    unpacked_records,
)
from understudy.features.ports import InspectableStore, ViewRead
from understudy.features.stores import isolated_store, open_writer

VIEW = a_view()
RECORD = a_record(VIEW)
WAIT_S = 60.0
RECORDS = st.lists(st.lists(st.none() | st.binary(max_size=40), max_size=8), max_size=5)


@given(RECORDS)
def test_records_arrive_as_they_were_sent(records: list[list[bytes | None]]) -> None:
    body = packed_records(records)

    assert unpacked_records(body, [len(read) for read in records]) == records


@given(st.integers(1, 9), st.integers(0, 200), st.integers(0, 200), st.binary(max_size=9))
def test_many_records_of_one_size_arrive_as_they_were_sent(
    size: int, first: int, second: int, surplus: bytes
) -> None:
    records = [bytes([at % 3] * size) for at in range(first + second)]
    sent = [records[:first], records[first:]]
    body = packed_records(sent)

    assert unpacked_records(body, [first, second]) == sent
    if surplus:
        with pytest.raises(ValueError, match=r"in place of|multiple"):
            unpacked_records(body + surplus, [first, second])


@given(RECORDS, st.binary(min_size=1, max_size=9))
def test_an_answer_of_another_length_is_refused(
    records: list[list[bytes | None]], surplus: bytes
) -> None:
    body = packed_records(records) + surplus

    with pytest.raises(ValueError, match="in place of"):
        unpacked_records(body, [len(read) for read in records])


@given(st.binary(max_size=200), st.integers(0, 2**32 - 1))
def test_a_frame_is_received_whole_or_not_at_all(body: bytes, number: int) -> None:
    frame = answer(Told.RECORDS, number, body)

    assert receive_frame(_Stream(frame).read) == (Told.RECORDS, number, body)
    assert receive_frame(_Stream(frame[:-1]).read) is None


def test_a_request_carries_ids_of_any_characters() -> None:
    value = (1.5, [(0, ["u", None, "🦊", "\ud800", "a\0b"])])

    received = receive_frame(_Stream(request(Asked.READ, 7, value)).read)

    assert received is not None
    assert requested(received[2]) == value


class _Stream:
    def __init__(self, content: bytes) -> None:
        self._content = content

    def read(self, size: int) -> bytes:
        part, self._content = self._content[:size], self._content[size:]
        return part


def _store(tmp_path: Path) -> str:
    url = f"lmdb:{tmp_path / 'store'}"
    writer = open_writer(url)
    writer.write(VIEW, [("u", RECORD)], mark=None)
    writer.close_now()
    return url


async def _find(store: InspectableStore, ids: Sequence[str | None]) -> list[bytes | None]:
    (records,) = await store.read([ViewRead(VIEW, ids)], timeout_s=WAIT_S)
    return records


def _reader_pid(url: str) -> int:
    (reader,) = [child for child in psutil.Process().children() if url in child.cmdline()]
    return reader.pid


@pytest.mark.fault
async def test_a_killed_reader_costs_reads_until_the_next_one_is_ready(tmp_path: Path) -> None:
    url = _store(tmp_path)
    async with isolated_store(url) as store:
        assert await _find(store, ["u"]) == [RECORD]
        os.kill(_reader_pid(url), signal.SIGSTOP)  # so that the read is pending when it ends
        pending = asyncio.ensure_future(_find(store, ["u"]))
        await asyncio.sleep(0)

        os.kill(_reader_pid(url), signal.SIGKILL)

        with pytest.raises(UnavailableError):
            await pending
        async with asyncio.timeout(WAIT_S):
            while store.troubles():  # noqa: ASYNC110 - the reader is another process
                await asyncio.sleep(0.02)
        assert await _find(store, ["u", "nobody", None]) == [RECORD, None, None]
        assert store.counters()["reader_restarts"] == 1


async def test_a_read_with_ids_that_no_store_can_hold_finds_nothing(tmp_path: Path) -> None:
    async with isolated_store(_store(tmp_path)) as store:
        assert await _find(store, ["\ud800", "u\0", "u"]) == [None, None, RECORD]


async def test_a_store_of_no_known_kind_is_refused_before_a_process_is_started() -> None:
    with pytest.raises(InvalidInputError, match="lmdb:FOLDER or aerospike"):
        async with isolated_store("redis:x"):
            pass


@pytest.mark.fault
@pytest.mark.stopped_clock
async def test_a_reader_that_hangs_is_replaced(tmp_path: Path) -> None:
    url = _store(tmp_path)
    async with isolated_store(url) as store:
        assert await _find(store, ["u"]) == [RECORD]
        hung = _reader_pid(url)
        os.kill(hung, signal.SIGSTOP)

        try:
            await _skip_until(lambda: not psutil.pid_exists(hung))
        finally:
            with suppress(ProcessLookupError):  # otherwise the store could not be closed
                os.kill(hung, signal.SIGKILL)
        await _skip_until(lambda: store.counters()["reader_restarts"] == 1)

        await asyncio.to_thread(wait_until, lambda: not store.troubles(), what="the next reader")
        assert await _find(store, ["u"]) == [RECORD]


@pytest.mark.fault
@pytest.mark.stopped_clock
async def test_a_reader_that_hangs_while_it_opens_the_store_is_ended(tmp_path: Path) -> None:
    url = _store(tmp_path)
    async with AsyncExitStack() as resources:
        opening = asyncio.ensure_future(resources.enter_async_context(isolated_store(url)))
        hung = await _started_reader_pid(url)
        os.kill(hung, signal.SIGSTOP)  # a starting interpreter has not reached the store yet
        try:
            await _skip_until(opening.done)
            store = opening.result()
            await _skip_until(lambda: "did not open the store" in " ".join(store.troubles()))
        finally:
            with suppress(ProcessLookupError):  # otherwise the store could not be closed
                os.kill(hung, signal.SIGKILL)

        with pytest.raises(UnavailableError, match=r"no progress for \d+ s") as refused:
            await _find(store, ["u"])

        assert not psutil.pid_exists(hung)
        silent_s = re.search(r"no progress for (\d+) s", str(refused.value))
        assert silent_s is not None
        assert int(silent_s[1]) >= 60


async def _started_reader_pid(url: str) -> int:
    end_s = time.monotonic() + WAIT_S
    while True:
        for child in psutil.Process().children():
            with suppress(psutil.NoSuchProcess):
                if url in child.cmdline():
                    return child.pid
        assert time.monotonic() < end_s
        await turns()


async def _skip_until(claim: Callable[[], bool]) -> None:
    """Let time pass on the loop's clock until `claim` holds; processes run in real time."""
    end_s = time.monotonic() + WAIT_S
    while not claim():
        assert time.monotonic() < end_s
        skip(0.5)
        await turns()
