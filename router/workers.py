"""N worker processes on one port. Started fresh, never forked: clients and threads do not survive.

The kernel spreads connections over the workers (SO_REUSEPORT). A worker that dies is started
again; the others serve on.
"""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from pydantic import SecretStr

from router.settings import RouterSettings
from understudy.domain.errors import UnavailableError
from understudy.runtime.exit_codes import FAILED, OK
from understudy.runtime.lifecycle import stop_on_signals
from understudy.runtime.supervision.python_command import python_command

_FIRST_RESTART_S = 0.1
_LONGEST_RESTART_S = 5.0
_SETTLED_AFTER_S = 60.0  # a worker that ran this long had no trouble starting
_log = structlog.get_logger()


async def supervise(settings: RouterSettings) -> int:
    """Run the workers until a signal, then let them drain; return the exit code."""
    stop = stop_on_signals()
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    for left_over in settings.state_dir.glob("worker-*.sock"):  # of workers that were killed
        left_over.unlink()
    try:
        if settings.metrics_port:
            for index in range(settings.workers):
                _check_free(settings.metrics_host, settings.metrics_port + index)
        with reserved(settings.listen) as address:
            async with asyncio.TaskGroup() as tasks:
                keepers = [
                    tasks.create_task(_keep(settings, index, address, stop))
                    for index in range(settings.workers)
                ]
    except UnavailableError as error:
        _log.error("router_not_started", why=str(error))
        return FAILED
    return OK if all(keeper.result() for keeper in keepers) else FAILED


@contextmanager
def reserved(listen: str) -> Iterator[str]:
    """Hold a port for all workers, so that port 0 is one port and a taken one is refused at once.

    The socket never listens, so it takes no connection from the workers.

    Raises:
        UnavailableError: the port is taken.
    """
    host, _, port = listen.rpartition(":")
    bare = host.strip("[]") or "0.0.0.0"  # noqa: S104 - ":PORT" asks for every interface
    family = socket.AF_INET6 if ":" in bare else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as holder:
        try:
            if _is_listening(family, bare, int(port)):
                raise UnavailableError(f"address {listen}", "another process listens on it")
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            holder.bind((bare, int(port)))
        except (OSError, ValueError) as error:
            raise UnavailableError(f"address {listen}", str(error)) from error
        yield f"{host}:{holder.getsockname()[1]}"


def _is_listening(family: socket.AddressFamily, host: str, port: int) -> bool:
    # With SO_REUSEPORT a second router would silently share the port: ask without it first.
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
    """Refuse a metrics port that is taken now: a worker would end for it, again and again.

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


async def _keep(settings: RouterSettings, index: int, address: str, stop: asyncio.Event) -> bool:
    """Keep one worker running; return whether its last run ended well."""
    restart_s = _FIRST_RESTART_S
    while True:
        started_s = time.monotonic()
        worker = await asyncio.create_subprocess_exec(
            *python_command("-m", "router", "worker"),
            *("--index", str(index), "--listen", address),
            env=worker_environment(settings),
        )
        exited = asyncio.ensure_future(worker.wait())
        stopping = asyncio.ensure_future(stop.wait())
        await asyncio.wait((exited, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if stop.is_set():
            return await _stopped(worker, settings.termination_s)
        if time.monotonic() - started_s > _SETTLED_AFTER_S:
            restart_s = _FIRST_RESTART_S
        _log.error("worker_died", index=index, exit_code=worker.returncode, again_s=restart_s)
        if await _is_set_within(stop, restart_s):
            return True
        restart_s = min(restart_s * 2, _LONGEST_RESTART_S)


async def _is_set_within(stop: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await stop.wait()
    except TimeoutError:
        return False


async def _stopped(worker: asyncio.subprocess.Process, termination_s: float) -> bool:
    if worker.returncode is None:
        worker.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(termination_s):
            return await worker.wait() == OK
    except TimeoutError:
        worker.kill()
        await worker.wait()
        return False


def worker_environment(settings: RouterSettings) -> dict[str, str]:
    """Return the environment in which a worker reads the same settings.

    Secrets are not among what is written: the worker inherits them, and a dump masks them.
    """
    secrets = {name for name, value in settings if isinstance(value, SecretStr)}
    values = settings.model_dump(mode="json", exclude={"listen", *secrets})
    own = {f"ROUTER_{name.upper()}": str(value) for name, value in values.items()}
    return {**os.environ, **own}
