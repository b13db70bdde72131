"""Records of other tools whose reading ends a process: a text in Latin-1, a broken map, and so on."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress

import psutil
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from router.batches.fetch_features import STORE_ANSWERED_IN_PART
from tests.features.aerospike_node import AerospikeNode, running_node
from tests.features.builders import a_record, a_view, floats
from tests.features.poison import LATIN_1, TEXT, put_bins
from tests.router.samples import MODEL, UTC_S, VIEW, deployment, spec
from tests.router.world import open_world
from tests.stack.waiting import until, until_gone
from understudy.domain.errors import UnavailableError
from understudy.domain.features import FeatureView
from understudy.domain.logged_ids import IdForm, LoggedIds
from understudy.domain.record_layouts import BinsLayout
from understudy.features.adapters.aerospike_client import AerospikeOptions
from understudy.features.adapters.isolated_store import reading_process
from understudy.features.adapters.withheld_ids import (
    MOST_PUT_ASIDE,
    MOST_SUSPECTS,
    Suspect,
    WithheldIds,
    suspects_in,
)
from understudy.features.decisions.bisection import Bisection
from understudy.features.decisions.record_format import pack_record, record_format
from understudy.features.ports import UNANSWERED, InspectableStore, ViewRead
from understudy.features.stores import open_writer
from understudy.scoring.v1 import scoring_pb2 as pb

READER = "understudy.features.reader"
WAIT_S = 60.0
PEOPLE = a_view("people", layout=BinsLayout("people", "event_ms"))
WIDE = a_view("wide", floats(70), entity="user", layout=BinsLayout("wide"))
JOHN = a_record(PEOPLE)
IDS = [f"u{number}" for number in range(12)]
CANARY = "canary-entity"
LOGGED = LoggedIds(IdForm.KEYED, b"a key of the logs")


@pytest.fixture
def node() -> Iterator[AerospikeNode]:
    with running_node() as started:
        writer = open_writer(started.url)
        writer.write(PEOPLE, [(each, JOHN) for each in IDS], mark=None)
        writer.close_now()
        yield started


@pytest.fixture
async def store(node: AerospikeNode) -> AsyncIterator[InspectableStore]:
    async with reading_process(
        node.url, READER, options_of(node), lambda: None, puts_aside=True, again_after_s=0.05
    ) as opened:
        yield opened


def options_of(node: AerospikeNode) -> AerospikeOptions:
    return AerospikeOptions((("127.0.0.1", node.port),), node.namespace)


def poison(node: AerospikeNode, entity_id: str) -> None:
    put_bins(node.port, node.namespace, "people", entity_id, {"city": (TEXT, LATIN_1)})


async def found(
    store: InspectableStore, ids: Sequence[str | None], *, view: FeatureView = PEOPLE
) -> list[bytes | None]:
    """Read `ids` as soon as there is a reader."""
    records: list[bytes | None] = []

    async def is_read() -> bool:
        try:
            (records[:],) = await store.read([ViewRead(view, ids)], timeout_s=WAIT_S)
        except UnavailableError:
            return False
        return True

    await until(is_read)
    return records


async def until_put_aside(store: InspectableStore, count: int) -> None:
    async def are_put_aside() -> bool:
        return store.counters()["ids_put_aside"] == count

    await until(are_put_aside)


@pytest.mark.fault
async def test_a_record_that_ends_its_reader_is_put_aside_and_the_others_are_read(
    node: AerospikeNode, store: InspectableStore
) -> None:
    poison(node, "u7")
    poison(node, "u11")
    with pytest.raises(UnavailableError):
        await store.read([ViewRead(PEOPLE, IDS)], timeout_s=WAIT_S)

    await until_put_aside(store, 2)

    assert await found(store, IDS) == [
        UNANSWERED if each in {"u7", "u11"} else JOHN for each in IDS
    ]
    (trouble,) = [each for each in store.troubles() if "not read" in each]
    assert "people@1 'u7', people@1 'u11'" in trouble
    restarts = store.counters()["reader_restarts"]
    await found(store, IDS)
    assert store.counters()["reader_restarts"] == restarts


@pytest.mark.fault
async def test_an_id_is_read_again_once_its_record_is_mended(
    node: AerospikeNode, store: InspectableStore
) -> None:
    poison(node, "u7")
    with pytest.raises(UnavailableError):
        await store.read([ViewRead(PEOPLE, ["u7"])], timeout_s=WAIT_S)
    await until_put_aside(store, 1)

    put_bins(node.port, node.namespace, "people", "u7", {"city": (TEXT, "Zürich".encode())})

    await until_put_aside(store, 0)
    assert await found(store, ["u7"]) == [JOHN]


@pytest.mark.fault
async def test_with_a_spare_reader_a_foreign_record_costs_one_read(node: AerospikeNode) -> None:
    poison(node, "u7")
    async with reading_process(
        node.url, READER, options_of(node), lambda: None, puts_aside=True, spare_after_s=0.0
    ) as store:

        async def has_spare() -> bool:
            return store.counters()["spare_readers"] == 1

        await until(has_spare)
        with pytest.raises(UnavailableError):
            await store.read([ViewRead(PEOPLE, ["u7"])], timeout_s=WAIT_S)

        at_once = await store.read([ViewRead(PEOPLE, ["u8", "u7"])], timeout_s=WAIT_S)

        assert at_once == [[JOHN, UNANSWERED]], "it is read without a wait, but for the suspect"
        await until(has_spare)
        assert store.counters()["reader_restarts"] == 1


@pytest.mark.fault
@pytest.mark.parametrize("is_used", [True, False])
async def test_a_killed_reader_of_two_costs_no_later_read(
    node: AerospikeNode, *, is_used: bool
) -> None:
    async with reading_process(
        node.url, READER, options_of(node), lambda: None, puts_aside=True, spare_after_s=0.0
    ) as store:

        async def has_spare() -> bool:
            return store.counters()["spare_readers"] == 1

        await until(has_spare)
        readers = [each for each in psutil.Process().children() if node.url in each.cmdline()]
        first, second = sorted(readers, key=psutil.Process.create_time)
        killed = first if is_used else second
        killed.kill()
        await until_gone([killed.pid])
        if is_used:  # its end is noticed by a read at the latest
            with suppress(UnavailableError):
                await store.read([ViewRead(PEOPLE, ["u1"])], timeout_s=WAIT_S)

        assert await store.read([ViewRead(PEOPLE, ["u8"])], timeout_s=WAIT_S) == [[JOHN]]
        assert not store.troubles()


@pytest.mark.fault
async def test_a_foreign_bin_that_a_view_does_not_name_costs_only_views_that_read_all_bins(
    node: AerospikeNode, store: InspectableStore
) -> None:
    put_bins(node.port, node.namespace, "people", "u7", {"other": (TEXT, LATIN_1)})
    assert await found(store, ["u7"]) == [JOHN]
    assert store.counters()["reader_restarts"] == 0

    together = [ViewRead(PEOPLE, ["u7", "u8"]), ViewRead(WIDE, ["u7"])]  # above 64 names: all bins
    with pytest.raises(UnavailableError):
        await store.read(together, timeout_s=WAIT_S)
    await until_put_aside(store, 1)

    assert await found(store, ["u7", "u8"]) == [UNANSWERED, JOHN]


@pytest.mark.fault
async def test_a_record_that_ends_readers_costs_a_router_one_level_of_its_own_entity(
    node: AerospikeNode, capfd: pytest.CaptureFixture[str]
) -> None:
    view = FeatureView("scored", 1, "user", VIEW.features, layout=BinsLayout("scored", "event_ms"))
    record = pack_record(
        record_format(view), {"amount": 2.0, "count": 1.0}, event_time_ms=round(UTC_S * 1000)
    )
    writer = open_writer(node.url)
    ids = [*IDS, CANARY]
    writer.write(view, [(each, record) for each in ids], mark=None)
    writer.close_now()
    put_bins(node.port, node.namespace, "scored", CANARY, {"amount": (TEXT, LATIN_1)})
    with capture_logs() as lines:
        async with (
            reading_process(
                node.url,
                READER,
                options_of(node),
                lambda: None,
                log=structlog.get_logger(),
                ids=LOGGED,
                puts_aside=True,
            ) as store,
            open_world(read_from=store, feature_slow_s=WAIT_S) as world,
        ):
            await world.deploy(deployment(), ready={1: ["a"]}, specs=[spec(1, view=view)])

            async def levels() -> dict[str, int]:
                answers = await asyncio.gather(
                    *[world.score(each, remaining_s=WAIT_S) for each in ids]
                )
                return {
                    each: int(answer.degradation.level)
                    for each, answer in zip(ids, answers, strict=True)
                }

            async def are_read() -> bool:
                full = pb.DEGRADATION_LEVEL_FULL
                return {each for each, level in (await levels()).items() if level != full} == {
                    CANARY
                }

            await until(are_read)
            assert world.counters.failures.total() == 0
            assert world.counters.degraded[MODEL, STORE_ANSWERED_IN_PART] > 0

    named = [each for each in lines if each["event"] == "entity_put_aside"]
    (digest,) = LOGGED.written([CANARY])
    assert [(each["view"], each["logged_as"], each["log_key_id"]) for each in named] == [
        ("scored@1", digest, LOGGED.key_id)
    ]
    ours = [{**each, "request_id": None} for each in lines]  # callers choose it; `world` by the id
    assert CANARY not in f"{ours}{capfd.readouterr()}"


@given(st.sets(st.integers(0, 299), max_size=5), st.integers(1, 300))
def test_the_search_finds_exactly_the_guilty_with_few_ends(guilty: set[int], size: int) -> None:
    search = Bisection.of(tuple(range(size)))
    ends = 0
    while search.waiting:
        if guilty & set(search.waiting[0]):
            search = search.after_end()
            ends += 1
        else:
            search = search.after_answer()

    expected = {each for each in guilty if each < size}
    assert set(search.guilty) == expected
    assert ends <= 4 * len(expected)  # 300 = 16 * 16 + …: three levels, and the id itself


def test_an_empty_group_needs_no_search() -> None:
    assert Bisection.of(()).waiting == ()


def test_suspects_and_ids_put_aside_are_bounded_and_the_latest_stay() -> None:
    withheld = WithheldIds()
    withheld.suspect(_suspects(MOST_SUSPECTS + 5))
    assert len(withheld.suspects()) == MOST_SUSPECTS

    withheld.judge(withheld.suspects(), _suspects(MOST_PUT_ASIDE + 5))

    assert len(withheld) == MOST_PUT_ASIDE
    assert withheld.suspects() == ()
    assert (str(PEOPLE), "u4") not in withheld
    assert (str(PEOPLE), f"u{MOST_PUT_ASIDE + 4}") in withheld


def _suspects(count: int) -> list[Suspect]:
    return suspects_in([ViewRead(PEOPLE, [f"u{number}" for number in range(count)])])
