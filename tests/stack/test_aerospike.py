"""The whole stack on Aerospike's client and wire protocol instead of LMDB."""

from pathlib import Path

import pytest

from tests.features.aerospike_node import running_node
from tests.stack.deployed import Deployed, open_deployed
from understudy.client.async_scoring_client import AsyncScoringClient
from understudy.scoring.v1.scoring_pb2 import DEGRADATION_LEVEL_FULL

pytestmark = pytest.mark.long

Scores = dict[str, tuple[float, int]]


async def scores_of(deployed: Deployed) -> Scores:
    async with AsyncScoringClient(deployed.stack.addresses.router, timeout_s=60.0) as client:
        answers = {unit: await client.score("cancer", {"patient": unit}) for unit in deployed.units}
    return {unit: (answer.score, answer.degradation.level) for unit, answer in answers.items()}


async def test_scores_over_aerospike_equal_those_over_lmdb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROUTER_FEATURE_SLOW_S", "60")  # it is about answers, not about speed
    with running_node() as node:
        async with open_deployed(tmp_path / "a", versions=1, features_store=node.url) as deployed:
            over_aerospike = await scores_of(deployed)
            node.records.clear()
            without_records = await scores_of(deployed)
    async with open_deployed(tmp_path / "l", versions=1) as deployed:
        over_lmdb = await scores_of(deployed)

    assert over_aerospike == over_lmdb
    assert {level for _, level in over_aerospike.values()} == {DEGRADATION_LEVEL_FULL}
    assert {level for _, level in without_records.values()} != {DEGRADATION_LEVEL_FULL}, (
        "it read something else"
    )
