"""The operator's part of the demo: deploy, shadow, canary, promote, roll back."""

import asyncio
import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from stack.router_books import read_books
from stack.settling import cpu_s_of_loading, until_settled
from stack.training import MODEL, SCORE_OUTPUT
from understudy.control.client import RegistryClient
from understudy.control.recorded_margins import recorded_margins
from understudy.control.report_wire import withheld_from_wire
from understudy.control.uploads import NewVersion
from understudy.control.wire import deployment_from_wire
from understudy.domain.changes import Change
from understudy.domain.deployments import Deployment
from understudy.domain.errors import UnavailableError
from understudy.domain.features import FeatureView
from understudy.domain.margins import WrittenMargins
from understudy.registry.v1 import registry_pb2 as pb


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding of the gate about a field."""

    field: str
    read: str
    wanted: str


class Operator:
    """Changes the deployment and waits until the routers apply it."""

    def __init__(self, registry: RegistryClient, router_state: Path, *, revision: int = 0) -> None:
        """Begin at the newest revision; the demo begins with an empty registry."""
        self._registry = registry
        self._router_state = router_state
        self._revision = revision

    async def check(
        self, artifact: Path, record: dict[str, Any], view: FeatureView
    ) -> list[Finding]:
        """Return the gate's findings about `record` without registering anything."""
        asked = NewVersion(
            model=MODEL,
            artifact_dir=artifact,
            provenance_json=json.dumps(record),
            views=(view,),
            score_output=SCORE_OUTPUT,
            reason="demo: an incomplete record",
        )
        answer = await asyncio.to_thread(self._registry.register, asked)
        return [Finding(each.field, each.read, each.wanted) for each in answer.report.findings]

    async def change(self, change: Change, *, reason: str) -> int:
        """Create the next revision; return its number."""
        answer = await asyncio.to_thread(
            self._registry.change,
            MODEL,
            change,
            reason=f"demo: {reason}",
            expect_revision=self._revision,
        )
        self._revision = answer.revision
        return answer.revision

    async def until_settled(self, revision: int) -> None:
        """Return once every worker serves `revision` with nothing withheld.

        Raises:
            UnavailableError: that did not happen in time; the message names what is withheld.
        """
        remain = await until_settled(
            partial(self._open_points, revision), partial(cpu_s_of_loading, self._registry)
        )
        if remain:
            why = f"not in force, without further progress: {'; '.join(remain)}"
            raise UnavailableError(f"revision {revision}", why)

    async def revisions(self) -> dict[int, Deployment]:
        """Return all revisions by number, from the registry."""
        entries = await asyncio.to_thread(self._registry.list_revisions, MODEL)
        return {each.deployment.revision: deployment_from_wire(each.deployment) for each in entries}

    async def margins_of(self, shadow: int) -> WrittenMargins | None:
        """Return the margins on record for a shadow."""
        return await asyncio.to_thread(recorded_margins, self._registry, MODEL, shadow)

    async def audit_is_intact(self) -> bool:
        answer: pb.ListAuditResponse = await asyncio.to_thread(self._registry.list_audit, MODEL)
        return answer.chain_intact and bool(answer.entries)

    async def _open_points(self, revision: int) -> list[str]:
        open_points: list[str] = []
        try:
            all_books = await read_books(self._router_state)
        except UnavailableError as error:  # a worker that is restarting
            return [str(error)]
        for books in all_books:
            states = [state for state in books.models if state.model == MODEL]
            if not states or states[0].revision != revision:
                open_points.append(f"{books.router_id} serves another revision")
            open_points += [
                str(withheld_from_wire(part)) for state in states for part in state.withheld
            ]
        return open_points
