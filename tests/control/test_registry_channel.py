"""Watchers and commands with the addresses of several registries over one database."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.scorer.fake_registry import FakeRegistry
from understudy.control.belief import Belief
from understudy.control.client import RegistryClient
from understudy.control.registry_channel import RegistryChannel, addresses_of
from understudy.control.registry_watch import follow, open_registry_channel
from understudy.control.wire import snapshot_to_wire
from understudy.domain.deployments import Deployment
from understudy.domain.errors import InvalidInputError, UnavailableError
from understudy.domain.snapshots import Snapshot
from understudy.registry.v1 import registry_pb2 as pb
from understudy.registry.v1 import registry_pb2_grpc
from understudy.runtime.free_port import free_port
from understudy.runtime.transport.transport import LOCAL

LIMIT_S = 60.0
OURS = Snapshot("ours", 3, (Deployment("fraud", 2, champion=1, salt="s"),))
THEIRS = Snapshot("theirs", 9)
Next = Callable[[], Awaitable[Snapshot]]


@dataclass(frozen=True, slots=True)
class Served:
    address: str
    registry: FakeRegistry
    end: Callable[[], Awaitable[None]]


Serve = Callable[[Snapshot], Awaitable[Served]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Yield a function that serves a state from an address of its own."""
    async with AsyncExitStack() as stack:

        async def served(state: Snapshot) -> Served:
            fake = FakeRegistry()  # type: ignore[abstract]  # grpc answers other RPCs with UNIMPLEMENTED
            fake.snapshot = snapshot_to_wire(state)
            server = grpc.aio.server()
            registry_pb2_grpc.add_RegistryServiceServicer_to_server(fake, server)
            port = server.add_insecure_port("127.0.0.1:0")
            await server.start()
            end = partial(server.stop, 0)
            stack.push_async_callback(end)
            return Served(f"127.0.0.1:{port}", fake, end)

        yield served


def away() -> str:
    """Return an address where no process listens."""
    return f"127.0.0.1:{free_port()}"


@asynccontextmanager
async def following(*addresses: str) -> AsyncIterator[tuple[RegistryChannel, Belief, Next]]:
    """Follow the registry at several addresses; yield a function that returns the next state."""
    belief = Belief()
    async with open_registry_channel(",".join(addresses), LOCAL) as channel:
        states = follow(channel, watcher="a test", belief=belief)
        async with aclosing(states):

            async def following_one() -> Snapshot:
                async with asyncio.timeout(LIMIT_S):
                    return await anext(states)

            yield channel, belief, following_one


async def test_a_watcher_tries_the_next_address_when_one_is_away(serve: Serve) -> None:
    live = await serve(OURS)

    async with following(away(), away(), live.address) as (channel, _, next_state):
        assert await next_state() == OURS
        assert channel.address == live.address


async def test_a_watcher_whose_registry_ends_moves_with_its_reports(serve: Serve) -> None:
    first, second = await serve(OURS), await serve(replace(OURS, sequence=4))
    async with following(first.address, second.address) as (channel, _, next_state):
        assert await next_state() == OURS

        await first.end()

        assert (await next_state()).sequence == 4
        stub = registry_pb2_grpc.RegistryServiceStub(channel)
        await stub.ReportScorers(pb.ReportScorersRequest(host_id="h-1"), timeout=LIMIT_S)
        assert "h-1" in second.registry.reports


async def test_a_watcher_returns_to_an_address_that_is_back(serve: Serve) -> None:
    first, second = await serve(OURS), await serve(replace(OURS, sequence=4))
    async with following(first.address, second.address) as (channel, _, next_state):
        await next_state()
        await first.end()
        await next_state()
        third = grpc.aio.server()
        first.registry.snapshot = snapshot_to_wire(replace(OURS, sequence=5))
        registry_pb2_grpc.add_RegistryServiceServicer_to_server(first.registry, third)
        assert third.add_insecure_port(first.address)
        await third.start()

        await second.end()

        assert (await next_state()).sequence == 5
        assert channel.address == first.address
        await third.stop(0)


async def test_a_watcher_does_not_stay_with_a_registry_that_it_does_not_believe(
    serve: Serve,
) -> None:
    ours, theirs, successor = (
        await serve(OURS),
        await serve(THEIRS),
        await serve(replace(OURS, sequence=4)),
    )
    async with following(ours.address, theirs.address, successor.address) as (
        channel,
        belief,
        next_state,
    ):
        await next_state()

        await ours.end()

        assert (await next_state()).sequence == 4
        assert belief.refused_states == 1
        assert channel.address == successor.address


async def test_a_command_goes_to_the_first_address_that_can_be_connected_to(serve: Serve) -> None:
    live = await serve(OURS)

    def watched() -> pb.Snapshot:
        with RegistryClient(f"{away()},{live.address},{away()}", access=LOCAL) as client:
            return next(client.watch("a test"))

    assert (await asyncio.to_thread(watched)).lineage == "ours"


def test_a_command_that_finds_no_registry_names_the_last_address() -> None:
    first, last = away(), away()
    with (
        RegistryClient(f"{first},{last}", access=LOCAL) as client,
        pytest.raises(UnavailableError, match=last),
    ):
        client.get_audit_head()


HOSTS = st.from_regex(r"[a-z]{1,9}(\.[a-z]{1,9})?:[1-9][0-9]{0,3}", fullmatch=True)


@given(st.lists(HOSTS, min_size=1, max_size=5, unique=True), st.sampled_from([",", ", ", " ,"]))
def test_addresses_are_tried_in_the_order_of_the_setting(hosts: list[str], comma: str) -> None:
    assert addresses_of(comma.join(hosts)) == tuple(hosts)


def test_a_list_of_grpc_is_one_address() -> None:
    assert addresses_of("ipv4:127.0.0.1:1,127.0.0.1:2") == ("ipv4:127.0.0.1:1,127.0.0.1:2",)


@pytest.mark.parametrize("registry", ["", "a:1,", ",a:1", "a:1,,b:1", "a:1,b:1,a:1", "a:1, a:1"])
def test_an_address_that_could_not_act_is_refused(registry: str) -> None:
    with pytest.raises(InvalidInputError, match="registry: read"):
        addresses_of(registry)
