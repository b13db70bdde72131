"""Batches of conditional writes: their bounds, their conditions, and rows that fail alone."""

from dataclasses import replace

import pytest
from aerospike_helpers import expressions as exp
from hypothesis import given
from hypothesis import strategies as st

from tests.features.aerospike_node import running_node
from tests.features.aerospike_servers import Server, patient_options
from tests.features.builders import NOW_MS, a_record, a_view, floats
from understudy.domain.errors import UnavailableError
from understudy.domain.features import Feature, FeatureDtype
from understudy.domain.record_layouts import BinsLayout
from understudy.features.adapters.aerospike_conditions import ConditionTemplate
from understudy.features.adapters.aerospike_puts import Put, batches_of, is_newer, puts_of
from understudy.features.adapters.aerospike_writer import AerospikeWriter
from understudy.features.ports import LoadMark

INT64 = st.integers(-(2**63), 2**63 - 1)
VIEW = a_view(features=floats(1))


@given(INT64, INT64)
def test_a_filled_in_condition_is_the_compiled_one(first: int, second: int) -> None:
    def condition(one: int, other: int) -> exp.And:
        return exp.And(is_newer("t", one), is_newer("c", other), exp.Eq(exp.IntBin("t"), one))

    template = ConditionTemplate(condition, 2)

    assert template.with_values(first, second) == condition(first, second).compile()


@given(st.lists(st.integers(0, 700_000), max_size=200))
def test_batches_are_bounded_and_keep_every_write_in_order(sizes: list[int]) -> None:
    puts = [Put(index, "u", "u", {"v": bytes(size)}, []) for index, size in enumerate(sizes)]

    batches = batches_of(puts)

    assert [put for batch in batches for put in batch] == puts
    assert all(0 < len(batch) <= 64 for batch in batches)
    assert all(
        len(batch) == 1 or sum(len(put.bins["v"]) for put in batch) <= 1 << 20 for batch in batches
    )


@pytest.mark.parametrize("layout", [None, BinsLayout("of_another_tool", "at")])
def test_records_of_one_load_share_requests(layout: BinsLayout | None) -> None:
    view = a_view(features=floats(1), layout=layout)
    records = [(f"u{number}", a_record(view, {"f0": 1.0})) for number in range(300)]
    with running_node() as node:
        writer = AerospikeWriter(patient_options("127.0.0.1", node.port, node.namespace))

        counts = writer.write(view, records, mark=None)
        writer.close_now()

        assert counts.written == 300
        assert node.requests == 5 + 1  # five batches, and the newest event time


async def test_each_row_of_a_batch_is_written_filtered_or_refused_alone(
    server: Server, name: str
) -> None:
    view = a_view(name, (Feature("text", FeatureDtype.STRING),))
    newer, older = (a_record(view, {"text": "x"}, event_time_ms=NOW_MS - age) for age in (0, 1))
    too_large = a_record(view, {"text": "x" * (1024 * 1024 + 1)})
    server.writer.write(view, [("there", newer)], mark=None)

    given_records = [("there", older), ("new", older), ("big", too_large), ("last", newer)]
    counts = server.writer.write(view, given_records, mark=LoadMark(name, 4))

    assert (counts.written, counts.older, len(counts.refused)) == (2, 1, 1)
    assert await server.find(view, "there", "new", "big", "last") == [newer, older, None, newer]


@pytest.mark.parametrize(
    ("code", "why"), [(18, "device overloaded"), (22, "forbidden"), (14, "record busy")]
)
def test_a_row_that_the_server_cannot_write_now_fails_the_write_and_moves_no_mark(
    code: int, why: str
) -> None:
    records = [(f"u{number}", a_record(VIEW, {"f0": 1.0})) for number in range(3)]
    with running_node() as node:
        options = replace(patient_options("127.0.0.1", node.port, node.namespace), max_retries=0)
        writer = AerospikeWriter(options)
        node.faults.row_result_code = code
        with pytest.raises(UnavailableError, match=why):
            writer.write(VIEW, records, mark=LoadMark("load", 3))

        node.faults.row_result_code = None
        assert writer.read_mark("load") == 0
        assert writer.write(VIEW, records, mark=LoadMark("load", 3)).written == 3
        writer.close_now()


def test_rows_that_are_not_answered_fail_the_write_and_repeating_it_completes_it() -> None:
    records = [(f"u{number}", a_record(VIEW, {"f0": 1.0})) for number in range(10)]
    with running_node() as node:
        options = replace(patient_options("127.0.0.1", node.port, node.namespace), max_retries=0)
        writer = AerospikeWriter(options)
        node.faults.answer_rows = 4
        with pytest.raises(UnavailableError, match="no response"):
            writer.write(VIEW, records, mark=None)

        node.faults.answer_rows = None
        again = writer.write(VIEW, records, mark=None)

        assert (again.written, again.older) == (6, 4)
        writer.close_now()


def test_a_write_of_nothing_sends_nothing() -> None:
    assert puts_of(VIEW, []) == ([], [])
    assert batches_of([]) == []
