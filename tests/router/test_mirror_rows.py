"""The rows of a shadow's log: one of each offered row, with its cause and the rate it was drawn at."""

import asyncio
from collections import Counter

import pytest

from tests.router.samples import MODEL, deployment, spec
from tests.router.world import open_world, two_arms, until
from understudy.domain.deployments import Challenger, Shadow

pytestmark = pytest.mark.virtual_time
FIRST_BP, SECOND_BP = 7_000, 4_000
UNITS = 60


async def test_each_offered_row_is_logged_once_with_its_cause_and_its_inclusion_probability() -> (
    None
):
    async with open_world(mirror_queue_rows=16) as world:
        await two_arms(world, shadows=(Shadow(3, FIRST_BP),))
        mirror = world.models.mirrors[(MODEL, 3)]
        world.scorers["three"].release = asyncio.Event()
        for index in range(UNITS):
            await world.score(f"u{index}", request_id=f"1-{index}")
        world.scorers["three"].release.set()
        await until(lambda: not mirror.in_flight_rows)
        own = {"challengers": (Challenger(2, 4_000),), "shadows": (Shadow(3, SECOND_BP),)}
        await world.deploy(
            deployment(revision=2, **own),
            ready={1: ["one"], 2: ["two"]},
            specs=[spec(1), spec(2), spec(3)],
        )
        for index in range(UNITS):
            await world.score(f"u{index}", request_id=f"2-{index}")
        await until(lambda: not mirror.in_flight_rows)

        batches = world.shadow_logs
        logged = Counter(name for batch in batches for name in batch.request_ids)
        causes = {(batch.revision, batch.status.value) for batch in batches}
        drawn_at = {(batch.revision, batch.inclusion_probability) for batch in batches}

    assert logged == {f"{revision}-{n}": 1 for revision in (1, 2) for n in range(UNITS)}
    assert causes == {
        *((1, "ok"), (1, "sampled_out"), (1, "queue_full")),
        *((2, "sampled_out"), (2, "not_ready")),
    }
    assert drawn_at == {(1, FIRST_BP / 10_000), (2, SECOND_BP / 10_000)}
    assert {batch.arm for batch in batches} == {"champion", "challenger"}
