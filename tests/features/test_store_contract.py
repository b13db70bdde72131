"""The contract of every feature store: the fake, LMDB, and the real Aerospike client.

The Aerospike client connects to a node in this process, and also to a real server if
UNDERSTUDY_TEST_AEROSPIKE=host:port/namespace names one.
"""

import os
from collections.abc import AsyncIterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio

from tests.features.aerospike_node import AerospikeNode, running_node
from tests.features.builders import IN_FAMILIES, MIXED_VALUES, NOW_MS, a_record, a_view, floats
from tests.features.fakes import FakeFeatureStore
from tests.features.loading_process import RemoteWriter
from tests.features.poison import LATIN_1, TEXT, put_bins
from tests.stack.waiting import until
from understudy.domain.errors import UnavailableError
from understudy.domain.features import FeatureScalar, FeatureView
from understudy.domain.record_layouts import BinsLayout
from understudy.features.decisions.families import families_of
from understudy.features.decisions.record_format import record_format, unpack_record
from understudy.features.decisions.record_order import fingerprint_of
from understudy.features.ports import (
    UNANSWERED,
    FeatureWriter,
    InspectableStore,
    LoadMark,
    ViewRead,
)
from understudy.features.stores import isolated_store, open_store, open_writer

REAL_SERVER = os.environ.get("UNDERSTUDY_TEST_AEROSPIKE")
KINDS = ["fake", "lmdb", "aerospike", "aerospike bins"]
KINDS += [f"isolated {kind}" for kind in KINDS[1:]]
if REAL_SERVER:
    KINDS += ["real aerospike", "real aerospike bins"]
TIMEOUT_S = 60.0
pytestmark = pytest.mark.asyncio(loop_scope="module")
LARGEST_FLOAT32 = (2 - 2.0**-23) * 2.0**127


@dataclass
class Opened:
    reader: InspectableStore
    writer: FeatureWriter
    kind: str
    node: AerospikeNode | None = None

    def view(self, name: str = "user", *, version: int = 1) -> FeatureView:
        """Return a view that no other test uses, in the layout under test."""
        unique = f"{name}_{uuid4().hex[:12]}"
        bins = BinsLayout(f"set_{unique}", "event_ms") if self.kind.endswith("bins") else None
        return a_view(unique, version=version, layout=bins)

    async def find(self, view: FeatureView, *ids: str | None) -> list[bytes | None]:
        (records,) = await self.reader.read([ViewRead(view, ids)], timeout_s=TIMEOUT_S)
        return records


class OpenedStores:
    """The stores of this module, opened when a test first needs them: a reader takes a while."""

    def __init__(self, folder: Path, loading_process: ProcessPoolExecutor) -> None:
        self._folder = folder
        self._loading_process = loading_process
        self._resources = AsyncExitStack()
        self._opened: dict[str, Opened] = {}

    async def of(self, kind: str) -> Opened:
        if kind not in self._opened:
            self._opened[kind] = await self._open(kind)
        return self._opened[kind]

    async def close(self) -> None:
        await self._resources.aclose()

    async def _open(self, kind: str) -> Opened:
        if kind == "fake":
            fake = FakeFeatureStore()
            return Opened(fake, fake, kind)
        node = None
        if kind.endswith(("aerospike", "bins")) and not kind.startswith("real"):
            node = self._resources.enter_context(running_node())
        url = node.url if node is not None else self._url_of(kind)
        reader: InspectableStore
        if kind.endswith("lmdb"):
            open_writer(url).close_now()  # readers make no store
            writer: FeatureWriter = RemoteWriter(self._loading_process, url)
        else:
            writer = open_writer(url)
        self._resources.callback(writer.close_now)
        if kind.startswith("isolated"):
            reader = await self._resources.enter_async_context(isolated_store(url))
        else:
            reader = open_store(url)
            self._resources.push_async_callback(reader.close)
        return Opened(reader, writer, kind, node)

    def _url_of(self, kind: str) -> str:
        if kind.endswith("lmdb"):
            return f"lmdb:{self._folder / kind}"
        return f"aerospike://{REAL_SERVER}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stores(
    tmp_path_factory: pytest.TempPathFactory, loading_process: ProcessPoolExecutor
) -> AsyncIterator[OpenedStores]:
    opened = OpenedStores(tmp_path_factory.mktemp("stores"), loading_process)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FEATURES_AEROSPIKE_WRITE_TIMEOUT_MS", "60000")  # of a node in Python
        # The client gives up a node whose state it cannot read for a few of these.
        patch.setenv("FEATURES_AEROSPIKE_CONNECT_TIMEOUT_MS", "10000")
        yield opened
        await opened.close()


@pytest_asyncio.fixture(params=KINDS, loop_scope="module")
async def store(request: pytest.FixtureRequest, stores: OpenedStores) -> Opened:
    return await stores.of(request.param)


async def test_a_record_is_read_as_it_was_written(store: Opened) -> None:
    view = store.view()

    counts = store.writer.write(view, [("u1", a_record(view))], mark=None)

    assert (counts.written, counts.older) == (1, 0)
    (record,) = await store.find(view, "u1")
    assert record == a_record(view)


async def test_records_come_in_the_order_of_the_ids_with_none_for_missing_ones(
    store: Opened,
) -> None:
    view = store.view()
    records = {f"u{n}": a_record(view, {**MIXED_VALUES, "age": n}) for n in range(5)}
    store.writer.write(view, list(records.items()), mark=None)

    ids = ["u4", None, "nobody", "u0", "u4", "u2"]

    assert await store.find(view, *ids) == [records.get(each or "") for each in ids]


async def test_views_of_one_call_are_kept_apart(store: Opened) -> None:
    first, second = store.view("one"), store.view("two")
    store.writer.write(first, [("x", a_record(first))], mark=None)
    store.writer.write(second, [("y", a_record(second))], mark=None)

    reads = [ViewRead(second, ["x", "y"]), ViewRead(first, ["x", "y"]), ViewRead(second, ["y"])]
    answer = await store.reader.read(reads, timeout_s=TIMEOUT_S)

    assert answer == [[None, a_record(second)], [a_record(first), None], [a_record(second)]]


async def test_an_empty_read_has_an_empty_answer(store: Opened) -> None:
    view = store.view()

    assert await store.reader.read([], timeout_s=TIMEOUT_S) == []
    assert await store.find(view) == []
    assert await store.find(view, None, None) == [None, None]


async def test_the_later_event_wins_in_whatever_order_records_arrive(store: Opened) -> None:
    view = store.view()
    newer = a_record(view, {**MIXED_VALUES, "age": 2}, event_time_ms=NOW_MS)
    older = a_record(view, {**MIXED_VALUES, "age": 1}, event_time_ms=NOW_MS - 1)
    store.writer.write(view, [("u", newer)], mark=None)

    again = store.writer.write(view, [("u", older), ("u", newer)], mark=None)

    assert (again.written, again.older) == (0, 2)
    assert await store.find(view, "u") == [newer]


@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_of_equal_event_times_one_record_stays_in_whatever_order_they_arrive(
    store: Opened, order: tuple[int, ...]
) -> None:
    view = store.view()
    corrected = a_record(view, {"age": 1}, created_time_ms=NOW_MS)
    records = [a_record(view, {"age": 2}), a_record(view, {"age": 3}), corrected]
    written = [("u", records[place]) for place in order]

    for each in written:
        store.writer.write(view, [each], mark=None)

    found = await store.find(view, "u")
    # Serving does not need the created time of records in bins, so it is not read.
    assert found == [a_record(view, {"age": 1}) if store.kind.endswith("bins") else corrected]


@pytest.mark.parametrize("ages", [(2, 3), (3, 2)])
async def test_of_equal_event_and_created_times_the_same_record_stays(
    store: Opened, ages: tuple[int, int]
) -> None:
    view = store.view()
    records = [("u", a_record(view, {"age": age})) for age in ages]

    for each in records:
        store.writer.write(view, [each], mark=None)

    form = record_format(view)
    latest = max((record for _, record in records), key=lambda each: fingerprint_of(form, each))
    assert await store.find(view, "u") == [latest]


async def test_a_later_event_replaces_the_whole_record(store: Opened) -> None:
    view = store.view()
    sparse = a_record(view, {"age": 7}, event_time_ms=NOW_MS + 1)
    store.writer.write(view, [("u", a_record(view))], mark=None)

    store.writer.write(view, [("u", sparse)], mark=None)

    (record,) = await store.find(view, "u")
    assert record is not None
    values = unpack_record(record_format(view), record)
    assert values == {**dict.fromkeys(MIXED_VALUES), "age": 7}


async def test_values_at_the_bounds_of_their_types_are_kept(store: Opened) -> None:
    view = store.view()
    low: dict[str, FeatureScalar | None] = {
        "age": -(2**63),
        "amount": -LARGEST_FLOAT32,
        "balance": -0.0,
        "is_new": False,
        "country": "",
        "city": "x" * 5000,
    }
    high = {**low, "age": 2**63 - 1, "amount": 2.0**-149, "balance": 5e-324, "city": "🦊\n"}
    records = {"low": a_record(view, low), "high": a_record(view, high), "none": a_record(view, {})}

    store.writer.write(view, list(records.items()), mark=None)

    assert await store.find(view, *records) == list(records.values())


async def test_a_record_of_another_definition_is_replaced_whatever_its_event_time(
    store: Opened,
) -> None:
    if store.kind.endswith("bins"):
        pytest.skip("records of bins say no definition")
    view = store.view()
    redefined = a_view(view.name, floats(3))
    store.writer.write(view, [("u", a_record(view))], mark=None)
    older = a_record(redefined, {"f0": 1.0}, event_time_ms=NOW_MS - 1000)

    store.writer.write(redefined, [("u", older)], mark=None)

    assert await store.find(redefined, "u") == [older]


async def test_versions_of_a_view_do_not_share_records(store: Opened) -> None:
    if store.kind.endswith("bins"):
        pytest.skip("the set of a bins layout is named by the view's definition")
    first = store.view()
    second = a_view(first.name, floats(3), version=2)
    store.writer.write(first, [("u", a_record(first))], mark=None)

    assert await store.find(second, "u") == [None]


async def test_ids_of_any_characters_are_distinct(store: Opened) -> None:
    view = store.view()
    ids = ["a", "A", "ä", "a ", "0", "00", "x" * 600, "x" * 600 + "y", "a\nb", "🦊"]
    records = [(each, a_record(view, {"age": n})) for n, each in enumerate(ids)]

    store.writer.write(view, records, mark=None)

    assert await store.find(view, *ids) == [record for _, record in records]


async def test_a_mark_is_kept_with_its_rows(store: Opened) -> None:
    view = store.view()
    load_id = uuid4().hex
    assert store.writer.read_mark(load_id) == 0

    store.writer.write(view, [("u", a_record(view))], mark=LoadMark(load_id, 4096))

    assert store.writer.read_mark(load_id) == 4096
    assert store.writer.read_mark(load_id + "x") == 0


async def test_a_writer_counts_the_entities_that_have_a_record(store: Opened) -> None:
    view = store.view()
    assert store.writer.count_held(view, ["u1", "u2"]) == 0

    store.writer.write(view, [("u2", a_record(view))], mark=None)

    assert store.writer.count_held(view, ["u1", "u2"]) == 1
    assert store.writer.count_held(view, ["u1"]) == 0
    assert store.writer.count_held(view, []) == 0


async def test_a_deleted_record_is_gone_and_the_others_stay(store: Opened) -> None:
    view, other = store.view(), store.view("other")
    for each in (view, other):
        records = [(entity_id, a_record(each)) for entity_id in ("u1", "u2", "x" * 600)]
        store.writer.write(each, records, mark=None)

    assert store.writer.delete(view, "u1")
    assert store.writer.delete(view, "x" * 600)

    assert await store.find(view, "u1", "x" * 600, "u2") == [None, None, a_record(view)]
    assert await store.find(other, "u1") == [a_record(other)]
    assert not store.writer.delete(view, "u1")
    assert not store.writer.delete(view, "nobody")


async def test_an_older_record_can_be_loaded_after_a_deletion(store: Opened) -> None:
    view = store.view()
    store.writer.write(view, [("u", a_record(view))], mark=None)
    store.writer.delete(view, "u")
    older = a_record(view, event_time_ms=NOW_MS - 1)

    counts = store.writer.write(view, [("u", older)], mark=None)

    assert counts.written == 1
    assert await store.find(view, "u") == [older]


async def test_a_large_batch_is_read_completely(store: Opened) -> None:
    view = store.view()
    records = [(f"u{n}", a_record(view, {"age": n, "city": "c" * 200})) for n in range(1500)]
    store.writer.write(view, records, mark=None)

    found = await store.find(view, *[entity_id for entity_id, _ in records])

    assert found == [record for _, record in records]


async def test_without_time_left_the_store_is_unavailable(store: Opened) -> None:
    with pytest.raises(UnavailableError):
        await store.reader.read([ViewRead(store.view(), ["u"])], timeout_s=0.0)


async def test_a_ping_is_answered(store: Opened) -> None:
    await store.reader.ping(timeout_s=TIMEOUT_S)


async def test_the_newest_event_time_is_known(store: Opened) -> None:
    view = store.view()
    assert await store.reader.newest_event_time_ms(view, timeout_s=TIMEOUT_S) is None
    times_ms = [NOW_MS, NOW_MS + 5, NOW_MS - 5]
    records = [(f"u{time_ms}", a_record(view, event_time_ms=time_ms)) for time_ms in times_ms]

    store.writer.write(view, records, mark=None)
    store.writer.write(view, records[:1], mark=None)

    assert await store.reader.newest_event_time_ms(view, timeout_s=TIMEOUT_S) == NOW_MS + 5


async def test_a_read_on_the_event_loop_gives_the_same_records(store: Opened) -> None:
    if store.kind.startswith("isolated"):
        pytest.skip("it is never read on the event loop")
    view = store.view()
    store.writer.write(view, [("u", a_record(view))], mark=None)

    assert await store.reader.read([ViewRead(view, ["u"])], timeout_s=60.0) == [[a_record(view)]]


async def test_a_record_that_ends_its_reader_costs_no_other_record(store: Opened) -> None:
    if store.node is None:
        pytest.skip("no other tool writes its records")
    if not store.kind.startswith("isolated"):
        pytest.skip("it would end this process")
    view = store.view()
    ids = [f"u{number}" for number in range(5)]
    store.writer.write(view, [(each, a_record(view)) for each in ids], mark=None)

    set_name, bin_name = f"{view}".replace("@", "."), "v"
    if view.layout is not None:
        set_name, bin_name = view.layout.set_name, "city"
    poison = {bin_name: (TEXT, LATIN_1)}
    put_bins(store.node.port, store.node.namespace, set_name, "u2", poison)

    expected = [UNANSWERED if each == "u2" else a_record(view) for each in ids]

    async def others_are_read() -> bool:
        try:
            return await store.find(view, *ids) == expected
        except UnavailableError:
            return False

    await until(others_are_read)


async def test_an_update_of_one_family_leaves_the_others_with_their_own_times(
    store: Opened,
) -> None:
    spent, home = families_of(a_view(f"parts_{uuid4().hex[:12]}", IN_FAMILIES))
    first = a_record(spent, {"spent": 1.0}, event_time_ms=NOW_MS)
    moved = a_record(home, {"country": "LI", "city": "Vaduz"}, event_time_ms=NOW_MS - 9)
    store.writer.write(home, [("u", moved), ("v", moved)], mark=None)
    store.writer.write(spent, [("u", first)], mark=None)

    late = a_record(spent, {"spent": 2.0}, event_time_ms=NOW_MS - 1)
    counts = store.writer.write(spent, [("u", late)], mark=None)
    again = a_record(spent, {"spent": 3.0}, event_time_ms=NOW_MS + 1)
    store.writer.write(spent, [("u", again)], mark=None)
    reads = [ViewRead(spent, ["u", "v"]), ViewRead(home, ["u", "v"])]
    found = await store.reader.read(reads, timeout_s=TIMEOUT_S)
    newest = [
        await store.reader.newest_event_time_ms(each, timeout_s=TIMEOUT_S) for each in (spent, home)
    ]

    assert (counts.written, counts.older) == (0, 1)
    assert found == [[again, None], [moved, moved]]
    assert newest == [NOW_MS + 1, NOW_MS - 9]
    assert store.writer.delete(spent, "u")
    assert await store.reader.read(reads, timeout_s=TIMEOUT_S) == [[None, None], [moved, moved]]
