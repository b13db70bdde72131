"""A scorer proves the name of the host that reported it before it is asked anything."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from router.adapters.open_oip_scorer import open_oip_scorer
from tests.router.fakes import FakeScorer
from tests.router.router_process import ServedScorer
from tests.router.samples import MODEL, deployment, ready_processes, spec
from tests.router.scorer_stream import answering_each
from tests.router.world import World, open_world
from tests.runtime.transport.authorities import Authority
from understudy.domain.snapshots import News, ScorerHost, Snapshot
from understudy.runtime.front.grpc_server import open_server
from understudy.runtime.transport.tls_files import TlsFiles
from understudy.runtime.transport.transport import LOCAL, Transport

HOST = "host-a"


def reported(address: str, *hosts: str, sequence: int = 1) -> Snapshot:
    """Return a state in which each of the hosts says that version 1 is ready at the address."""
    (process,) = ready_processes({1: [address]})
    processes = tuple(replace(process, host_id=host) for host in hosts)
    known = tuple(ScorerHost(host, News.REPORTING) for host in hosts)
    return Snapshot("a test", sequence, (deployment(),), (spec(1),), processes, hosts=known)


@asynccontextmanager
async def served(transport: Transport) -> AsyncIterator[ServedScorer]:
    scorer = ServedScorer()
    async with open_server() as server:
        server.add_generic_rpc_handlers((answering_each(scorer.infer, version=1),))
        scorer.address = f"127.0.0.1:{transport.bind(server, '127.0.0.1:0')}"
        await server.start()
        yield scorer


async def close(world: World) -> None:
    world.pipeline.models.close(mirrors_within_s=1.0)
    await world.models.close_scorers()


@pytest.mark.fault
@pytest.mark.stopped_clock
@pytest.mark.parametrize("shown", ["plaintext", "another host", "another authority"])
async def test_a_scorer_that_does_not_prove_its_host_gets_no_feature(
    shown: str, tmp_path: Path
) -> None:
    ours, others = Authority(tmp_path / "ours"), Authority(tmp_path / "others")
    transport = {
        "plaintext": LOCAL,
        "another host": Transport(ours.files_of("host-b", "127.0.0.1", "localhost")),
        "another authority": Transport(others.files_of(HOST, "127.0.0.1")),
    }[shown]
    trusting = partial(open_oip_scorer, transport=Transport(TlsFiles(ca=ours.ca_file)))
    async with served(transport) as scorer, open_world(open_scorer=trusting) as world:
        await world.models.apply(reported(scorer.address, HOST))

        unproven = [each.scorer.address for each in world.models.unproven()]
        await close(world)

    assert unproven == [scorer.address]
    assert scorer.batches == 0


@pytest.mark.stopped_clock
@pytest.mark.parametrize("claiming", [(HOST,), (HOST, "host-b")])
async def test_a_scorer_that_proves_its_host_is_ready_at_any_address(
    claiming: Sequence[str], tmp_path: Path
) -> None:
    ours = Authority(tmp_path / "ours")
    trusting = partial(open_oip_scorer, transport=Transport(TlsFiles(ca=ours.ca_file)))
    async with (
        served(Transport(ours.files_of(HOST))) as scorer,
        open_world(open_scorer=trusting) as world,
    ):
        await world.models.apply(reported(scorer.address, *claiming))

        unproven = [*world.models.unproven()]
        await close(world)

    assert unproven == []


@pytest.mark.virtual_time
async def test_a_scorer_is_opened_anew_for_another_host_at_its_address() -> None:
    opened: list[tuple[str, str | None]] = []

    def open_fake(address: str, host_id: str | None) -> FakeScorer:
        opened.append((address, host_id))
        return FakeScorer(address)

    async with open_world(open_scorer=open_fake) as world:
        for sequence, host in enumerate(("h", "h", "g"), 1):
            await world.models.apply(reported("one", host, sequence=sequence))
            answer = await world.score("u1")
            assert answer.served_by.model == MODEL

    assert opened == [("one", "h"), ("one", "g")]
