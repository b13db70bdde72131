"""Training and registration of the demo's versions, each measured beside the deployed champion."""

import asyncio
from collections.abc import Sequence

from stack.author import Author, without_fields
from stack.demo_report import DemoReport
from stack.rollout import Operator
from stack.training import Candidate
from understudy.domain.changes import DeployChampion

_LEFT_OUT = ("data.training.content", "code.source", "people.approver")  # of the refused record


async def register_versions(
    operator: Operator,
    author: Author,
    report: DemoReport,
    candidates: Sequence[Candidate],
    *,
    champion: DeployChampion,
    shows_refusal: bool = False,
) -> bool:
    """Train and register versions, and deploy the first, which the others are measured beside.

    Returns whether the gate refused an incomplete record of the first version, if it was asked to.
    """
    gate_refused = False
    for candidate in candidates:
        with await asyncio.to_thread(author.trained, candidate) as run:
            record = run.record()
            report.trained(candidate, record["parent"]["conversion"]["max_abs_difference"])
            if shows_refusal and candidate is candidates[0]:
                partial = without_fields(record, _LEFT_OUT)
                findings = await operator.check(run.artifact_dir, partial, author.view)
                report.refused(_LEFT_OUT, findings)
                gate_refused = bool(findings)
            reason = f"{candidate.part}: {candidate.describe}"
            report.registered(str(await asyncio.to_thread(run.register, reason=reason)))
        if candidate is candidates[0]:
            await operator.change(champion, reason="first champion")
    return gate_refused
