"""A count of the files that one Score goes through in a router: `python -m tools.trace_score`.

A file is entered when one of its functions starts. A step leads from one file to another, and a
return is a step to a file that was left before. Attributes therefore cost nothing, and neither does a
coroutine that resumes after a wait. Only our own code counts, and only in the event loop's thread.

The router is that of the tests: the real service and stages over LMDB, with the score log and two
arms. Five calls run first, because a process compiles and opens resources on its first calls.
"""

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any, Self

import structlog

from router.adapters.oip_scorer import OipScorer
from router.edge.service import ScoringService
from tests.router.router_process import ServedScorer, serving
from tests.router.samples import MODEL, UTC_S, VIEW, deployment, spec
from tests.router.served import LIMITS
from tests.router.world import open_world
from understudy.domain.deployments import Challenger
from understudy.features.adapters.lmdb_writer import LmdbWriter
from understudy.features.decisions.record_format import pack_record, record_format
from understudy.features.stores import isolated_store
from understudy.logs.writer import LogWriter
from understudy.scoring.v1 import scoring_pb2

_ROOT = Path(__file__).resolve().parent.parent
_OURS = (f"{_ROOT}/router/", f"{_ROOT}/understudy/")
_ENTITY = "u7"
_CALLS_AHEAD = 5
_PATIENT_S = 60.0  # a busy machine must not send the call down the ladder
_PATIENT: dict[str, Any] = dict.fromkeys(
    ("feature_slow_s", "scorer_timeout_s", "wanted_queue_s", "largest_deadline_s"), _PATIENT_S
)
_TURNS_AFTERWARDS = 3  # of the event loop: results are recorded once the caller has its answer


@dataclass(frozen=True, slots=True)
class Start:
    """The start of a function."""

    file: str  # relative to the project
    function: str


class Trace:
    """Records the starts of our functions in this thread, in order."""

    def __init__(self) -> None:
        self.starts: list[Start] = []
        self._frames: set[FrameType] = set()  # kept, so that ids of frames are not reused

    def __enter__(self) -> Self:
        sys.setprofile(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _note(self, frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event != "call" or frame in self._frames or not code.co_filename.startswith(_OURS):
            return
        self._frames.add(frame)  # a resumed coroutine is reported as a call again
        name = code.co_filename.removeprefix(f"{_ROOT}/")
        if not name.endswith(("_pb2.py", "_pb2_grpc.py")):
            self.starts.append(Start(name, code.co_qualname))


class _Context:
    """The parts of a gRPC context that the service uses."""

    def time_remaining(self) -> float:
        return _PATIENT_S

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return ()


def visits_of(starts: Sequence[Start]) -> list[tuple[str, list[str]]]:
    """Return each visit to a file, with the functions that started during it."""
    stays = groupby(starts, key=lambda start: start.file)
    return [(file, [start.function for start in stay]) for file, stay in stays]


async def trace_score(*, is_served: bool) -> list[Start]:
    """Return all function starts from the bytes of one Score to its row in the score log."""
    with TemporaryDirectory() as folder:
        root = Path(folder)
        _write_features(root / "features.lmdb")
        with LogWriter(root / "logs") as logs:
            async with _open_router(root, logs, is_served=is_served) as service:
                request = scoring_pb2.ScoreRequest(
                    model=MODEL, request_id="r1", entities={"user": _ENTITY}
                ).SerializeToString()
                context: Any = _Context()
                for _ in range(_CALLS_AHEAD):
                    await service.score(request, context)
                    await _turn()
                trace = Trace()
                with trace:
                    await service.score(request, context)
                    await _turn()
    return trace.starts


@asynccontextmanager
async def _open_router(
    root: Path, logs: LogWriter, *, is_served: bool
) -> AsyncIterator[ScoringService]:
    scorer = ServedScorer()
    async with (
        serving({1: [scorer]}),
        isolated_store(f"lmdb:{root / 'features.lmdb'}") as store,
        open_world(
            read_from=store,
            log=logs.offer,
            open_scorer=OipScorer if is_served else None,
            **_PATIENT,
        ) as world,
    ):
        address = scorer.address if is_served else "fake"
        await world.deploy(
            deployment(challengers=(Challenger(2, 4_000),)),
            ready={1: [address], 2: [address]},
            specs=[spec(1), spec(2)],
        )
        yield ScoringService(world.pipeline, LIMITS)
        await world.models.close_scorers()


def _write_features(path: Path) -> None:
    record = pack_record(
        record_format(VIEW), {"amount": 7.0, "count": 1.0}, event_time_ms=round(UTC_S * 1000)
    )
    writer = LmdbWriter(path)
    writer.write(VIEW, [(_ENTITY, record)], mark=None)
    writer.close_now()


async def _turn() -> None:
    for _ in range(_TURNS_AFTERWARDS):
        await asyncio.sleep(0)


def _print_way(visits: Sequence[tuple[str, list[str]]], write: Callable[[str], None]) -> None:
    counts = Counter(file for file, _ in visits)
    seen: set[str] = set()
    for number, (file, functions) in enumerate(visits):
        mark = "<-" if file in seen else "  "
        seen.add(file)
        write(f"{number:3} {mark} {file}: {', '.join(dict.fromkeys(functions))}")
    write("")
    for file, count in counts.most_common():
        if count > 1:
            write(f"{count - 1} returns to {file}")
    write(
        f"{len(counts)} files, {len(visits) - 1} steps from file to file, "
        f"{len(visits) - len(counts)} returns to a file that was left before"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--served", action="store_true", help="ask a scorer over gRPC instead of a fake one"
    )
    is_served = parser.parse_args().served
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    starts = asyncio.run(trace_score(is_served=is_served))
    _print_way(visits_of(starts), print)


if __name__ == "__main__":
    main()
