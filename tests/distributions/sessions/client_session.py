"""A session of both clients, for an environment with the client alone. Prints the answers as JSON.

Usage: client_session.py ADDRESS, of a router that serves version 1 of the model "fraud".
"""

import asyncio
import json
import sys

from understudy.client import AsyncScoringClient, ScoringClient, score_request

MODEL = "fraud"
UNIT = {"user": "u1"}
TIMEOUT_S = 30.0  # the speed of the machine is not under test


def blocking(address: str) -> dict[str, object]:
    with ScoringClient(address, timeout_s=TIMEOUT_S) as client:
        answer = client.score(MODEL, UNIT, features={"amount": 2.0})
        batch = client.score_batch(MODEL, ["u1", "u2"], candidate_entity="user")
        stream = client.score_stream([score_request(MODEL, UNIT)], timeout_s=TIMEOUT_S)
        return {
            "score": round(answer.score, 6),
            "version": answer.served_by.version,
            "candidates": [result.id for result in batch.results],
            "streamed": [each.response and each.response.served_by.version for each in stream],
            "explained": client.explain(MODEL, "u1").assigned.version,
            "outcomes": client.record_outcomes(MODEL, {answer.request_id: 1.0}),
        }


async def with_asyncio(address: str) -> float:
    async with AsyncScoringClient(address, timeout_s=TIMEOUT_S) as client:
        answer = await client.score(MODEL, UNIT, features={"amount": 2.0})
        return round(answer.score, 6)


if __name__ == "__main__":
    router = sys.argv[1]
    seen = {**blocking(router), "asyncio": asyncio.run(with_asyncio(router))}
    json.dump(seen, sys.stdout)
