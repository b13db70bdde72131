"""N worker processes on one port. Started fresh, never forked: clients and threads do not survive.

The kernel spreads connections over the workers (SO_REUSEPORT). A worker that dies or hangs is
restarted; the others keep serving, so of several that hang one at a time is replaced.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial

import structlog

from router.kept_shipper import shipping_logs
from router.orphans import supervising
from router.settings import RouterSettings
from router.shipper import open_target
from router.worker_environment import worker_environment
from understudy.domain.errors import RefusedError, UnavailableError
from understudy.domain.liveness import LivenessPolicy
from understudy.domain.progress import Patience
from understudy.domain.restarts import GiveUp, Restart, RestartPolicy
from understudy.logs.access import keep_from_group, share_with_group
from understudy.runtime.exit_codes import FAILED, OK, UNAVAILABLE, USAGE
from understudy.runtime.front.choice import Front, chosen_front
from understudy.runtime.front.envoy_files import find_envoy_files
from understudy.runtime.front.grpc_server import open_server
from understudy.runtime.health import Health, HealthSwitch
from understudy.runtime.lifecycle import stop_on_signals
from understudy.runtime.span_export import check_span_export
from understudy.runtime.supervision.child import Child, ChildSpec, start_child
from understudy.runtime.supervision.ending import Ending
from understudy.runtime.supervision.keeper import Care, HealthCheck, Keeper, Kept
from understudy.runtime.supervision.liveness import HungChildren
from understudy.runtime.supervision.probe import Probe
from understudy.runtime.transport.transport import LOCAL

_RESTARTS = RestartPolicy(
    first_back_off_s=0.1,
    longest_back_off_s=5.0,
    budget=None,  # a router without workers gives no answers
    window_s=60.0,
)
_log = structlog.get_logger()


async def supervise(settings: RouterSettings) -> int:
    """Run the workers until a signal, then let them drain; return the exit code.

    It ends earlier if all workers refuse their settings.

    Raises:
        InvalidInputError: the log folder cannot be shared with the group of the settings, they
            want Envoy where it cannot run, other machines could read along, the variables of spans
            are not acceptable, or there is no store for the logs.
        UnavailableError: the store for the logs is a folder that cannot be created.
    """
    front = _front_of(settings)
    check_span_export(os.environ)
    if settings.log_target:
        open_target(settings)
    settings.callers_transport.require(settings.listen, named="listen")
    stop = stop_on_signals(longest_s=settings.termination_s)
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    if settings.log_group:
        share_with_group(settings.log_dir, settings.log_group)
    else:
        keep_from_group(settings.log_dir)
    try:
        with supervising(settings.state_dir) as has_orphans:
            codes = await _supervise(settings, front, stop, has_orphans=has_orphans)
    except (UnavailableError, RefusedError) as error:
        _log.error("router_not_started", why=str(error))
        return UNAVAILABLE
    return _exit_code_of(codes)


async def _supervise(
    settings: RouterSettings, front: Front, stop: asyncio.Event, *, has_orphans: bool
) -> set[int]:
    """Bind the port and keep the workers running; return their exit codes.

    Raises:
        UnavailableError: an address is in use, by others than orphans.
    """
    if has_orphans:
        _log.warning("orphans_serve_on", state_dir=str(settings.state_dir))
    for left_over in settings.state_dir.glob("worker-*.sock"):  # of killed workers
        left_over.unlink()
    if settings.metrics_port and not has_orphans:  # orphans have released theirs, or do so now
        for index in range(settings.workers):
            _check_free(settings.metrics_host, settings.metrics_port + index)
    with reserved(settings.listen, is_shared=has_orphans) as address:
        return await _keep_workers(settings, address, front, stop)


async def _keep_workers(
    settings: RouterSettings, address: str, front: Front, stop: asyncio.Event
) -> set[int]:
    """Keep the workers running, and answer health checks of this process; return exit codes."""
    hung = HungChildren()
    health = HealthSwitch()
    waiting = set(range(settings.workers))  # indices of workers that have not served yet

    def serves(index: int) -> None:
        waiting.discard(index)
        if not waiting and health.current is Health.NOT_SERVING:
            health.turn(Health.SERVING)

    async with (
        _health_served(settings.supervisor_address, health),
        shipping_logs(settings),
        asyncio.TaskGroup() as tasks,
    ):
        keepers = [
            tasks.create_task(
                Keeper(
                    _Worker(settings, index, address, front, partial(serves, index)),
                    _care_of(settings, index, hung),
                    stop,
                ).run()
            )
            for index in range(settings.workers)
        ]
    return {keeper.result() for keeper in keepers}


def _front_of(settings: RouterSettings) -> Front:
    """Return the front of all workers, and log why it is not Envoy if that was to be tried."""
    found = find_envoy_files() if settings.front is not Front.GRPC else ""
    why_no_envoy = found if isinstance(found, str) else ""
    front = chosen_front(settings.front, why_no_envoy)
    _log.info("front_chosen", front=front.value, **({"why": why_no_envoy} if why_no_envoy else {}))
    return front


def _options(index: int, address: str, front: Front) -> tuple[str, ...]:
    return ("--index", str(index), "--listen", address, "--front", front.value)


@asynccontextmanager
async def _health_served(address: str, health: HealthSwitch) -> AsyncIterator[None]:
    """Answer health checks: the port of the workers says nothing about their supervisor.

    It is SERVING once all its workers have served; orphans end then.
    """
    async with open_server() as server:
        server.add_generic_rpc_handlers((health.handlers(),))
        LOCAL.bind(server, address)
        await server.start()
        yield


def _care_of(settings: RouterSettings, index: int, hung: HungChildren) -> Care:
    liveness = LivenessPolicy(
        settings.probe_interval_s, settings.probe_timeout_s, settings.probe_misses
    )
    health = HealthCheck(
        Probe(settings.admin_address(index)), Patience(), liveness, answers_before_it_serves=True
    )
    return Care(_RESTARTS, settings.stop_limit_s, health, hung)


def _exit_code_of(codes: set[int]) -> int:
    if codes == {OK}:
        return OK
    return USAGE if USAGE in codes else FAILED


@contextmanager
def reserved(listen: str, *, is_shared: bool = False) -> Iterator[str]:
    """Hold a port for all workers, so that port 0 is one port and a port in use is refused at once.

    The socket never listens, so it takes no connections from the workers. With `is_shared` orphans
    may listen on the port.

    Raises:
        UnavailableError: the port is in use.
    """
    host, _, port = listen.rpartition(":")
    bare = host.strip("[]") or "0.0.0.0"  # noqa: S104 - ":PORT" means every interface
    family = socket.AF_INET6 if ":" in bare else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as holder:
        try:
            if not is_shared and _is_listening(family, bare, int(port)):
                raise UnavailableError(f"address {listen}", "another process listens on it")
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            holder.bind((bare, int(port)))
        except (OSError, ValueError) as error:
            raise UnavailableError(f"address {listen}", str(error)) from error
        yield f"{host}:{holder.getsockname()[1]}"


def _is_listening(family: socket.AddressFamily, host: str, port: int) -> bool:
    # With SO_REUSEPORT a second router would silently share the port, so it is checked without.
    if port == 0:
        return False
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return True
    return False


def _check_free(host: str, port: int) -> None:
    """Refuse a metrics port that is in use: a worker would fail on it, again and again.

    Raises:
        UnavailableError: it cannot be bound.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise UnavailableError(f"metrics address {host}:{port}", str(error)) from error


class _Worker(Kept):
    """One worker of the port; the others keep serving while it is down."""

    def __init__(
        self,
        settings: RouterSettings,
        index: int,
        address: str,
        front: Front,
        served: Callable[[], None],
    ) -> None:
        """`served` is called whenever the worker is found to serve."""
        self.name = f"worker {index}"
        self._served = served
        self._index = index
        self._spec = ChildSpec(
            ("-m", "router", "worker", *_options(index, address, front)),
            environment=worker_environment(settings),
        )

    async def start(self, stop: asyncio.Event) -> Child | None:
        return None if stop.is_set() else await start_child(self._spec)

    def serves(self) -> None:
        self._served()

    def starts_again(self, ending: Ending, plan: Restart) -> None:
        _log.error(
            "worker_died",
            index=self._index,
            exit_code=ending.exit_code,
            why=ending.why,
            again_s=round(plan.after_s, 3),
        )

    def starts_later(self, why: str, plan: Restart) -> None:
        _log.error("worker_not_started", index=self._index, why=why, again_s=round(plan.after_s, 3))

    async def rests(self, ending: Ending, given_up: GiveUp | None) -> bool:
        why = ending.why if given_up is None else f"{ending.why}; {given_up}"
        _log.error("worker_stays_down", index=self._index, why=why)
        return False
