"""The order of records in bins, which our loader and other tools write in turns."""

from itertools import permutations

import pytest

from tests.features.aerospike_servers import Server
from tests.features.builders import NOW_MS, NOW_S, a_record, a_view, floats
from understudy.domain.errors import InvalidInputError
from understudy.domain.record_layouts import BinsLayout, TimeUnit
from understudy.features.cli.get_command import stored_record
from understudy.features.ports import ViewRead
from understudy.features.views import parse_views

LAYOUTS = {
    "ms": BinsLayout("", "ts"),
    "s": BinsLayout("", "ts", event_time_unit=TimeUnit.S),
    "no event time": BinsLayout(""),
}


def _layout(name: str, kind: str) -> BinsLayout:
    given = LAYOUTS[kind]
    return BinsLayout(name, given.event_time_bin, event_time_unit=given.event_time_unit)


@pytest.mark.parametrize("kind", LAYOUTS)
@pytest.mark.parametrize("together", [True, False])
async def test_one_record_stays_in_any_order_of_loading(
    server: Server, name: str, kind: str, together: bool
) -> None:
    view = a_view(name, floats(1), layout=_layout(name, kind))
    records = [
        a_record(view, {"f0": 1.0}, created_time_ms=NOW_MS + 5),
        a_record(view, {"f0": 2.0}, created_time_ms=NOW_MS + 5),
        a_record(view, {"f0": 3.0}),
        a_record(view, {"f0": 4.0}, event_time_ms=NOW_MS - 1000, created_time_ms=NOW_MS + 9),
    ]
    orders = list(permutations(records))

    for number, order in enumerate(orders):
        pairs = [(f"u{number}", record) for record in order]
        for part in [pairs] if together else [[pair] for pair in pairs]:
            server.writer.write(view, part, mark=None)

    found = set(await server.find(view, *(f"u{number}" for number in range(len(orders)))))
    assert len(found) == 1
    assert found <= {a_record(view, {"f0": value}) for value in (1.0, 2.0)}


async def test_a_correction_follows_and_precedes_what_another_tool_writes(
    server: Server, name: str
) -> None:
    view = a_view(name, floats(1), layout=BinsLayout(name, "ts"))
    first = a_record(view, {"f0": 1.0}, created_time_ms=NOW_MS + 9)
    same_time = a_record(view, {"f0": 3.0}, event_time_ms=NOW_MS + 1000)
    key = server.key(name, "u")

    server.writer.write(view, [("u", first)], mark=None)
    server.client.put(key, {"f0": 2.0, "ts": NOW_MS + 1000})  # our bins are those of `first`
    of_tool = await server.find(view, "u")
    late = server.writer.write(view, [("u", first)], mark=None)
    equal = server.writer.write(view, [("u", same_time)], mark=None)

    assert of_tool == [a_record(view, {"f0": 2.0}, event_time_ms=NOW_MS + 1000)]
    assert (late.older, equal.written) == (1, 1)
    assert await server.find(view, "u") == [same_time]


@pytest.mark.parametrize("kind", LAYOUTS)
async def test_a_record_in_bins_tells_its_times_unless_another_tool_has_written_since(
    server: Server, name: str, kind: str
) -> None:
    given = _layout(name, kind)
    view = a_view(name, floats(1), layout=given)
    timed = a_view(
        name,
        floats(1),
        layout=BinsLayout(
            name, given.event_time_bin, event_time_unit=given.event_time_unit, reads_own_times=True
        ),
    )
    record = a_record(
        view, {"f0": 1.0}, created_time_ms=NOW_MS + 5, ingestion_time_ms=NOW_MS + 7000
    )
    server.writer.write(view, [("u", record), ("foreign", record)], mark=None)
    if given.event_time_bin:
        unit_ms = 1000 if kind == "s" else 1
        server.client.put(server.key(name, "foreign"), {"ts": NOW_MS // unit_ms + 60_000})

    reads = [ViewRead(timed, ["u", "foreign"])]
    ((mine, foreign),) = await server.reader.read(reads, timeout_s=60.0)

    assert view.digest == timed.digest
    found = [stored_record(view, "u", each, now_s=NOW_S) for each in (mine, foreign) if each]
    times = [(each.created_time, each.ingestion_time) for each in found]
    assert None not in times[0]
    assert times[1] == ((None, None) if given.event_time_bin else times[0])


def test_bins_of_our_loader_are_no_features() -> None:
    text = """
    views:
      - name: user
        version: 1
        entity: user
        layout: bins
        bins: {event_time: _us_event, names: {x: _us_print}}
        features: [{name: x, dtype: float64}]
    """

    with pytest.raises(InvalidInputError) as caught:
        parse_views(text, where="views.yaml")

    fields = [fault.field for fault in caught.value.faults]
    assert fields == ["views[0].bins.event_time", "views[0].bins.names.x"]
