"""The real request path, started for a benchmark: router, scorer host, scorers, LMDB, logs."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import grpc

from benchmarks.h2load import Load, write_frame
from benchmarks.measure import Batches, Target
from benchmarks.model import ENTITIES, ENTITY, MODEL, BenchFiles, make_files
from benchmarks.registry_in_memory import InMemoryRegistry, describe_version, open_registry
from stack.router_books import read_books
from understudy.domain.deployments import Challenger, Deployment, Shadow
from understudy.domain.errors import UnavailableError
from understudy.domain.request_contract import RequestContract
from understudy.domain.snapshots import VersionSpec
from understudy.domain.versions import VersionRef
from understudy.features.loading.load_features import SourceFile, load_features
from understudy.features.stores import open_writer
from understudy.features.views import load_views
from understudy.runtime.free_port import free_port
from understudy.runtime.front.choice import Front
from understudy.runtime.supervision.supervisor import ProcessSpec, Supervisor
from understudy.runtime.transport.transport import LOCAL, Transport
from understudy.scoring.v1 import scoring_pb2, scoring_pb2_grpc

SCORE_METHOD = "/understudy.scoring.v1.ScoringService/Score"
CHAMPION, CHALLENGER, SHADOW = 1, 2, 3
_CHALLENGER_BP = 2_500
_SETTLE_LIMIT_S = 30.0
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class RequestPath:
    """A running router, with everything needed to load it."""

    address: str
    folder: Path
    registry: InMemoryRegistry
    supervisor: Supervisor
    router: ProcessSpec

    def settings_in(self, folder: Path) -> dict[str, str]:
        """Return the settings of another router on the same scorers, with its files in `folder`."""
        return {**self.router.environment, **_folders(folder)}

    async def score(self, entity_id: str) -> scoring_pb2.ScoreResponse:
        """Make one call, like any client."""
        async with grpc.aio.insecure_channel(self.address) as channel:
            stub = scoring_pb2_grpc.ScoringServiceStub(channel)
            return await stub.Score(request_of(entity_id), timeout=5.0, wait_for_ready=True)

    async def score_batch(
        self, request: scoring_pb2.ScoreBatchRequest
    ) -> scoring_pb2.ScoreBatchResponse:
        async with grpc.aio.insecure_channel(self.address) as channel:
            stub = scoring_pb2_grpc.ScoringServiceStub(channel)
            return await stub.ScoreBatch(request, timeout=5.0, wait_for_ready=True)

    async def target(
        self,
        name: str,
        entity_ids: Sequence[str],
        *,
        connections: int = 4,
        in_flight: int = 16,
        prepare: Callable[[], Awaitable[None]] | None = None,
    ) -> Target:
        """Return the load that scores these entities, after checking their answers."""
        answers = [await self.score(entity_id) for entity_id in entity_ids]
        bodies = tuple(
            write_frame(self.folder / f"{name}-{entity_id}.frame", request_of(entity_id))
            for entity_id in entity_ids
        )
        load = Load(self.address, SCORE_METHOD, bodies, connections, in_flight)
        smallest = min(answer.ByteSize() for answer in answers)
        return Target(name, load, self.supervisor.pids(), smallest, self.batches, prepare)

    async def deploy(self, deployment: Deployment) -> None:
        """Activate a revision, and return when every worker serves all of it."""
        await self.registry.deploy(deployment)
        give_up_s = time.monotonic() + _SETTLE_LIMIT_S
        while not await self._serves(deployment.revision):
            if time.monotonic() > give_up_s:
                raise UnavailableError(f"revision {deployment.revision}", "not in force")
            await asyncio.sleep(_POLL_S)

    async def start_router_beside(self, name: str, environment: Mapping[str, str]) -> str:
        """Start a second router on the same scorers and features; return its address.

        `environment`: differs from the first one's.
        """
        address, folder = f"127.0.0.1:{free_port()}", self._folder_of(name)
        spec = replace(
            self.router,
            name=name,
            arguments=tuple(
                address if each == self.address else each for each in self.router.arguments
            ),
            health_target=address,
            environment={**self.settings_in(folder), **environment},
        )
        await self.supervisor.start(spec)
        return address

    def _folder_of(self, router: str) -> Path:
        return self.folder / router.replace(", ", "-")

    async def start_worker_beside(
        self,
        name: str,
        entities: Sequence[str],
        *,
        module: str = "router",
        front: Front = Front.GRPC,
        environment: Mapping[str, str] | None = None,
        transport: Transport = LOCAL,
    ) -> Target:
        """Start one worker on the same scorers and features; return the load of `target` on it.

        Args:
            name: of the worker's process and of the load.
            entities: to score.
            module: run in place of the router's.
            front: of the worker.
            environment: differs from the first router's.
            transport: to the worker.
        """
        address, folder = f"127.0.0.1:{free_port()}", self.folder / name.replace(" ", "-")
        folder.mkdir()
        worker = ("worker", "--index", "0", "--listen", address, "--front", front.value)
        spec = ProcessSpec(
            name,
            ("-m", module, *worker),
            health_target=address,
            environment={**self.settings_in(folder), **(environment or {})},
            transport=transport,
        )
        await self.supervisor.start(spec)
        return at_router(address, name, await self.target(name, entities))

    async def _serves(self, revision: int) -> bool:
        books = await read_books(self.folder / "router")
        models = [model for each in books for model in each.models]
        return len(models) == len(books) and all(
            model.revision == revision and not model.withheld for model in models
        )

    async def batches(self, beside: str = "") -> Batches:
        """Return the rows and batches that the router's workers have answered so far.

        `beside`: the name of a second router; "" for the first one.
        """
        books = await read_books(self._folder_of(beside) / "router")
        return Batches(
            rows=sum(row.rows for each in books for row in each.answered),
            batches=sum(each.batches for each in books),
        )

    async def entities_of(self, version: int, count: int) -> list[str]:
        """Return entities for which `version` answers."""
        found: list[str] = []
        for index in range(ENTITIES):
            if (await self.score(f"u{index}")).served_by.version == version:
                found.append(f"u{index}")
            if len(found) == count:
                return found
        raise LookupError(f"only {len(found)} entities are answered by version {version}")


def at_router(address: str, name: str, target: Target) -> Target:
    """Return the load of `target` on the router at `address`."""
    return replace(target, name=name, load=replace(target.load, address=address), read_batches=None)


def request_of(entity_id: str) -> scoring_pb2.ScoreRequest:
    return scoring_pb2.ScoreRequest(model=MODEL, entities={ENTITY: entity_id})


def deployment_of(revision: int, *, shadow: bool = False) -> Deployment:
    """Return a deployment with champion and challenger, and optionally a shadow of all traffic."""
    return Deployment(
        model=MODEL,
        revision=revision,
        champion=CHAMPION,
        salt="bench",
        challengers=(Challenger(CHALLENGER, _CHALLENGER_BP),),
        shadows=(Shadow(SHADOW, 10_000),) if shadow else (),
        contract=RequestContract(
            required_entities=(ENTITY,),
            entities=(ENTITY,),
            unit_entity=ENTITY,
        ),
    )


@asynccontextmanager
async def open_request_path(
    folder: Path,
    *,
    width: int = 200,
    workers: int = 1,
    shadow: bool = False,
    kept: Path | None = None,
    store_url: str | None = None,
) -> AsyncIterator[RequestPath]:
    """Start everything that a live request touches, with two arms and the score log.

    Models are kept in `kept` for the next run; by default next to `folder`. Features are read
    from `store_url`; by default from LMDB in `folder`.
    """
    features = store_url or f"lmdb:{folder / 'features.lmdb'}"
    versions = 3 if shadow else 2
    files = make_files((kept or folder.parent) / f"model-{width}", width=width, versions=versions)
    load_into_store(files, features)
    registry = InMemoryRegistry(  # type: ignore[abstract]  # it implements only the RPCs used here
        deployment_of(1, shadow=shadow), _describe(files)
    )
    for artifact in files.artifacts:
        registry.add_artifact(artifact)
    async with (
        open_registry(registry, "127.0.0.1:0") as port,
        Supervisor(folder / "process-logs") as supervisor,
    ):
        address = f"127.0.0.1:{free_port()}"
        await supervisor.start(_scorer_host(folder, f"127.0.0.1:{port}"))
        await registry.wait_until_ready(versions)
        router = _router(folder, f"127.0.0.1:{port}", address, workers, features)
        await supervisor.start(router)
        yield RequestPath(address, folder, registry, supervisor, router)


def load_into_store(files: BenchFiles, store_url: str) -> None:
    """Load the features into the store at `store_url`."""
    writer = open_writer(store_url)
    try:
        load_features(
            SourceFile(files.features, "entity_id"),
            load_views(files.views)[0],
            writer,
            on_reject=print,
            on_progress=lambda _: None,
        )
    finally:
        writer.close_now()


def _describe(files: BenchFiles) -> list[VersionSpec]:
    view = load_views(files.views)[0]
    return [
        describe_version(VersionRef(MODEL, number), artifact, view, files.feature_names)
        for number, artifact in enumerate(files.artifacts, start=1)
    ]


def _scorer_host(folder: Path, registry: str) -> ProcessSpec:
    return ProcessSpec(
        name="scorers",
        arguments=(
            "-m",
            "scorer",
            "host",
            "--registry",
            registry,
            "--dir",
            str(folder / "scorers"),
        ),
        health_target=None,
    )


def _router(folder: Path, registry: str, address: str, workers: int, features: str) -> ProcessSpec:
    return ProcessSpec(
        name="router",
        arguments=(*("-m", "router", "serve", "--listen", address, "--workers", str(workers)),),
        health_target=address,
        environment={
            "ROUTER_REGISTRY": registry,
            "ROUTER_FEATURES": features,
            **_folders(folder),
            "ROUTER_LOG_KEY": "no secret, but as costly as one",
        },
    )


def _folders(folder: Path) -> dict[str, str]:
    return {"ROUTER_LOG_DIR": str(folder / "logs"), "ROUTER_STATE_DIR": str(folder / "router")}
