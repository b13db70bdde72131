"""The intake: a lone caller never waits, a crowd is read at once, no call is lost or counted twice."""

import asyncio
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.admission.gate import Gate
from router.admission.intake import Intake, UnreadCall
from router.calls.call import Call
from router.decisions.expected_calls import ExpectedCalls
from router.decisions.priority import Priority
from router.decisions.row_limit import RowLimitPolicy
from tests.router.builders import bare_call
from tests.virtual_time import run_on_virtual_time
from understudy.domain.errors import InvalidInputError, OverloadedError

pytestmark = pytest.mark.virtual_time
LONG_S = 5.0


@dataclass
class Desk:
    """An intake that records its readings, on the test's clock."""

    most_gather_s: float = LONG_S
    most_rows: int = 1_000
    default_deadline_s: float = 1_000.0
    read_takes_s: float = 0.0
    now_s: float = 0.0
    cpu_s: float = 0.0
    read: list[str] = field(default_factory=list)
    readings: list[list[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        policy = RowLimitPolicy(least_rows=1, most_rows=self.most_rows, wanted_queue_s=1.0)
        self.gate = Gate(policy, lambda: self.now_s, most_bytes=1 << 30)
        self.intake = Intake(
            self.gate,
            most_gather_s=self.most_gather_s,
            default_deadline_s=self.default_deadline_s,
            now_s=lambda: self.now_s,
            cpu_s=lambda: self.cpu_s,
        )

    def call(self, name: str, *, remaining_s: float | None = None) -> UnreadCall:
        return UnreadCall(
            answer=asyncio.get_running_loop().create_future(),
            priority=Priority.LIVE,
            arrived_s=self.now_s,
            remaining_s=remaining_s,
            received=name.encode(),
            admit=self._admit,
        )

    def put(self, name: str, *, remaining_s: float | None = None) -> UnreadCall:
        call = self.call(name, remaining_s=remaining_s)
        self.intake.put(call)
        return call

    def serve(self, calls: list[UnreadCall], *, took_s: float = 1.0) -> None:
        """Answer `calls` after `took_s`, and let them leave."""
        self.now_s += took_s
        for call in calls:
            call.answer.set_result(b"")
            self.intake.leave(call)

    def _admit(self, call: UnreadCall) -> Call:
        name = call.received.decode()
        if name == "bad":
            raise InvalidInputError.of("model", read=name, accepted="another one")
        self.read.append(name)
        self.now_s += self.read_takes_s
        return bare_call(  # only `submit` of its live model is used
            name,
            live=self,
            arrived_s=call.arrived_s,
            answer_by_s=call.arrived_s + 1,
            priority=call.priority,
            answer=call.answer,
        )

    def submit(self, admitted: Call) -> None:
        del admitted


def crowd(desk: Desk, count: int) -> None:
    """Let `count` calls be here at once and be answered, so that as many are expected again."""
    first = desk.put("first")
    others = [desk.call(f"crowd-{index}") for index in range(count - 1)]
    for call in others:
        desk.intake.put(call)
    desk.intake._read_all()
    desk.serve([first, *others], took_s=0.01)


async def until_read(desk: Desk, count: int) -> None:
    async with asyncio.timeout(10):
        while len(desk.read) < count:  # noqa: ASYNC110 - the intake has no event for this
            await asyncio.sleep(0.001)


async def test_a_lone_caller_is_read_at_once() -> None:
    desk = Desk()
    for index in range(5):
        call = desk.put(f"r{index}")
        assert desk.read[-1] == f"r{index}"
        desk.serve([call])


async def test_a_crowd_is_read_when_most_of_it_has_arrived() -> None:
    desk = Desk()
    crowd(desk, 20)
    desk.read.clear()
    for index in range(18):
        desk.put(f"r{index}")
    assert not desk.read

    desk.put("r18")  # 95 % of 20

    assert desk.read == [f"r{index}" for index in range(19)]


async def test_silence_ends_the_wait() -> None:
    desk = Desk()
    crowd(desk, 20)
    desk.read.clear()
    desk.put("r0")
    desk.put("r1")

    began_s = asyncio.get_running_loop().time()

    await until_read(desk, 2)  # no other call arrives

    assert desk.read == ["r0", "r1"]
    assert asyncio.get_running_loop().time() - began_s < 0.01, "it waited longer than for silence"


async def test_no_call_waits_longer_than_allowed() -> None:
    desk = Desk(most_gather_s=0.006)
    crowd(desk, 20)
    desk.read.clear()
    desk.put("r0")
    desk.now_s += 0.006

    more = 0
    async with asyncio.timeout(10):
        while not desk.read:  # they keep arriving: no silence
            more += 1
            desk.put(f"more-{more}") if more < 15 else None
            await asyncio.sleep(0.001)

    assert desk.read[0] == "r0"
    assert len(desk.read) < 19


async def test_a_hurried_call_causes_all_to_be_read() -> None:
    desk = Desk(most_gather_s=0.006)
    crowd(desk, 20)
    desk.read.clear()
    desk.put("patient", remaining_s=1.0)
    assert not desk.read

    desk.put("hurried", remaining_s=0.01)

    assert desk.read == ["patient", "hurried"]


async def test_without_time_to_gather_each_call_is_read_on_arrival() -> None:
    desk = Desk(most_gather_s=0.0)
    for index in range(50):
        desk.put(f"r{index}")
        assert len(desk.read) == index + 1


async def test_calls_do_not_wait_for_callers_who_are_away_for_long() -> None:
    desk = Desk()
    slow = [desk.put("slow-0")]
    slow += [desk.put(f"slow-{index}") for index in range(1, 20)]
    desk.intake._read_all()
    desk.now_s += 10.0  # another model's scorer still has them, and the old peak fades
    desk.serve([desk.put("fast")], took_s=0.001)
    desk.read.clear()

    desk.put("fast")

    assert desk.read == ["fast"]
    desk.serve(slow)


async def test_a_call_that_cannot_be_admitted_gets_its_error_and_the_others_are_read() -> None:
    desk = Desk()
    crowd(desk, 3)
    desk.read.clear()
    calls = [desk.put(name) for name in ("a", "bad", "b")]

    assert desk.read == ["a", "b"]
    with pytest.raises(InvalidInputError, match="another one"):
        await _answer_of(calls[1])


async def test_a_full_router_refuses_before_reading() -> None:
    desk = Desk(most_rows=2)
    crowd(desk, 2)
    desk.read.clear()
    held = [desk.put("a"), desk.put("b")]

    with pytest.raises(OverloadedError):
        desk.put("bad")
    desk.serve(held)

    assert desk.gate.outstanding_rows == 0


async def test_calls_of_disconnected_callers_are_not_read() -> None:
    desk = Desk()
    crowd(desk, 20)
    desk.read.clear()
    gone, stays = desk.put("gone"), desk.put("stays")
    future = gone.answer
    assert isinstance(future, asyncio.Future)
    future.cancel()
    desk.intake.leave(gone)

    await until_read(desk, 1)

    assert desk.read == ["stays"]
    desk.serve([stays])
    assert (desk.gate.outstanding_rows, desk.intake._away) == (0, 0)


@given(steps=st.lists(st.tuples(st.booleans(), st.integers(0, 40)), max_size=60))
def test_the_counts_balance_whatever_calls_come_and_go(steps: list[tuple[bool, int]]) -> None:
    async def run() -> None:
        desk = Desk()
        inside: list[UnreadCall] = []
        for comes, number in steps:
            desk.now_s += number / 1_000
            if comes or not inside:
                inside.append(desk.put(str(number)))
            else:
                desk.serve([inside.pop(number % len(inside))], took_s=0.0)
        desk.intake._read_all()
        assert desk.gate.outstanding_rows == len(inside)
        assert 0 <= desk.intake._away <= len(inside)
        desk.serve(inside)
        assert (desk.gate.outstanding_rows, desk.intake._away) == (0, 0)

    run_on_virtual_time(run())


@given(at_once=st.lists(st.integers(1, 5_000), max_size=50), most=st.integers(1, 512))
def test_the_wanted_number_never_exceeds_the_limit_or_the_peak(
    at_once: list[int], most: int
) -> None:
    expected = ExpectedCalls()
    for calls in at_once:
        expected = expected.after_reading(calls, elapsed_s=0.0, cpu_s=0.0)

    assert 1 <= expected.wanted(most) <= min(most, max([1, *at_once]))


@pytest.mark.parametrize(("readings", "elapsed_s"), [(200, 0.001), (1, 5.0)])
def test_an_old_peak_is_forgotten(readings: int, elapsed_s: float) -> None:
    expected = ExpectedCalls().after_reading(100, elapsed_s=0.0, cpu_s=0.0)
    for _ in range(readings):
        expected = expected.after_reading(1, elapsed_s=elapsed_s, cpu_s=0.0)

    assert expected.wanted(256) == 1


stretches = st.lists(st.tuples(st.floats(0.0, 60.0), st.floats(0.0, 1.0)), max_size=50)


@given(stretches=stretches, idle_s=st.floats(0.0, 0.05))
def test_the_wait_is_never_shorter_than_idle_or_beyond_its_limit(
    stretches: list[tuple[float, float]], idle_s: float
) -> None:
    expected = ExpectedCalls()
    for elapsed_s, share in stretches:
        expected = expected.after_reading(1, elapsed_s=elapsed_s, cpu_s=share * elapsed_s)

    assert 0.0 <= expected.busy <= 1.0
    assert idle_s <= expected.longest_wait_s(idle_s) <= idle_s * 2.5 * (1 + 1e-9)


@pytest.mark.parametrize(("share", "times"), [(0.0, 1.0), (0.45, 1.0), (0.8, 2.5), (1.0, 2.5)])
def test_a_busy_event_loop_waits_longer(share: float, times: float) -> None:
    expected = ExpectedCalls()
    for _ in range(400):
        expected = expected.after_reading(20, elapsed_s=0.008, cpu_s=share * 0.008)

    assert expected.longest_wait_s(0.006) == pytest.approx(times * 0.006)
    idle_again = expected.after_reading(1, elapsed_s=5.0, cpu_s=0.0)
    assert idle_again.longest_wait_s(0.006) == pytest.approx(0.006)


def keep_busy(desk: Desk, *, share: float, callers: int) -> None:
    """Let the event loop have used that share of its recent time, for `callers` callers."""
    for _ in range(100):
        crowd(desk, callers)
        desk.cpu_s += share * 0.01  # a crowd is away for 10 ms
    desk.read.clear()


@pytest.mark.parametrize(("share", "is_read"), [(0.1, True), (0.9, False)])
async def test_only_a_busy_router_waits_longer_than_the_setting(
    share: float, is_read: bool
) -> None:
    desk = Desk(most_gather_s=0.006)
    keep_busy(desk, share=share, callers=200)
    desk.put("first")
    desk.now_s += 0.007
    loop = asyncio.get_running_loop()
    have_come = asyncio.Event()

    def come(left: int) -> None:  # twice a tick, so that there is no silence
        desk.put(f"{left} left")
        loop.call_later(0.0005, come, left - 1) if left else have_come.set()

    come(20)
    await have_come.wait()

    assert bool(desk.read) == is_read
    desk.now_s += 0.008
    await until_read(desk, 22)


@pytest.mark.parametrize(("share", "read"), [(0.1, []), (0.9, ["patient", "hurried"])])
async def test_whether_a_call_is_hurried_depends_on_the_wait(share: float, read: list[str]) -> None:
    desk = Desk(most_gather_s=0.006)
    keep_busy(desk, share=share, callers=20)
    desk.put("patient", remaining_s=1.0)

    desk.put("hurried", remaining_s=0.04)

    assert desk.read == read


async def test_callers_without_a_deadline_have_the_default() -> None:
    desk = Desk(most_gather_s=0.006, default_deadline_s=0.01)
    crowd(desk, 20)
    desk.read.clear()

    desk.put("hurried")

    assert desk.read == ["hurried"]


async def test_reading_pauses_for_others_and_continues_in_order() -> None:
    desk = Desk()
    crowd(desk, 20)
    desk.read.clear()
    desk.read_takes_s = 0.001  # after two calls, others have their turn
    for index in range(19):
        desk.put(f"r{index}")
    in_one_go = len(desk.read)
    desk.put("hurried", remaining_s=0.001)

    assert in_one_go < 5
    await until_read(desk, 20)
    assert desk.read == [*(f"r{index}" for index in range(19)), "hurried"]


async def _answer_of(call: UnreadCall) -> bytes:
    assert isinstance(call.answer, asyncio.Future)
    answer: bytes = await call.answer
    return answer


async def test_single_calls_are_read_before_those_of_a_stream() -> None:
    desk = Desk()
    crowd(desk, 20)
    desk.read.clear()
    for index in range(3):
        call = desk.call(f"s{index}")
        call.priority = Priority.STREAM
        desk.intake.put(call)
    desk.put("live")

    await until_read(desk, 4)

    assert desk.read == ["live", "s0", "s1", "s2"]
