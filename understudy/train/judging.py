"""The gate on the author's machine: the same code as in the registry, without one."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import version

from understudy.domain.versions import VersionRef
from understudy.gate.gate import GateReport
from understudy.gate.inspection import InspectionLimits
from understudy.gate.judge import Candidate, judge
from understudy.gate.submission import Surroundings

_LIMITS = InspectionLimits(timeout_s=120.0, max_bytes=2 << 30)  # the registry's own defaults


def judge_offline(candidate: Candidate, *, author: str, champion: VersionRef | None) -> GateReport:
    """Return the gate's report.

    Args:
        candidate: the version.
        author: the identity that will register it.
        champion: the champion that it was compared with; None if there is none.
    """
    around = Surroundings(
        actor=author,
        now=datetime.now(UTC),
        versions=frozenset() if champion is None else frozenset([champion]),
        champions=frozenset() if champion is None else frozenset([champion.number]),
        view_digests={},
        onnxruntime=version("onnxruntime"),
    )
    # A thread of its own: a notebook's thread runs an event loop already.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, judge(candidate, around, _LIMITS)).result()
