"""A router worker inside Envoy, and its way there: the second front of the router (ADR 34)."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import NoReturn

import psutil
import structlog
from grpc_reflection.v1alpha import reflection

from router.edge.service import SERVICE
from router.settings import RouterSettings
from router.worker import configure_worker_logs, run_worker
from understudy.domain.errors import UnavailableError
from understudy.inference.reflection import SERVICE as INFERENCE
from understudy.runtime.exit_codes import UNAVAILABLE
from understudy.runtime.front.embedded_process import EmbeddedProcess, OpenServer
from understudy.runtime.front.embedding import Embedding
from understudy.runtime.front.envoy_config import EnvoyFront, EnvoySecrets
from understudy.runtime.front.envoy_files import EnvoyFiles, find_envoy_files
from understudy.runtime.front.envoy_secrets import secrets_kept, write_secrets
from understudy.runtime.front.envoy_worker import become_envoy
from understudy.runtime.health import MOST_WATCHES
from understudy.runtime.health import SERVICE_NAME as HEALTH
from understudy.runtime.lifecycle import stop_on_blocked_signals
from understudy.runtime.serving import MOST_REFLECTIONS
from understudy.runtime.settings import load_settings
from understudy.runtime.supervision.outliving import unbind_from_parent

_STREAMS = (
    f"/{SERVICE}/ScoreStream",
    f"/{INFERENCE}/ModelStreamInfer",
    f"/{HEALTH}/Watch",
    f"/{reflection.SERVICE_NAME}/ServerReflectionInfo",
)
_log = structlog.get_logger()


def become_envoy_worker(settings: RouterSettings, worker: int) -> NoReturn:
    """Replace this process with Envoy, in which the worker serves. For the main thread, alone.

    Raises:
        UnavailableError: Envoy's files are gone, or the address has no IP address.
    """
    files = find_envoy_files()
    if not isinstance(files, EnvoyFiles):
        raise UnavailableError("Envoy", files)
    host, port = _ip_address(settings.listen)
    front = EnvoyFront(
        host=host,
        port=port,
        admin_socket=str(settings.envoy_path(worker, os.getpid(), "sock")),
        application=f"{__name__}:application",
        module_file=files.module,
        stream_paths=_STREAMS,
        most_calls=settings.most_open_calls,
        most_streams=settings.most_streams
        + MOST_WATCHES
        + MOST_REFLECTIONS
        + settings.most_due_calls,
        most_connections=settings.most_connections,
        most_calls_per_connection=settings.most_calls_per_connection,
        max_connection_age_s=settings.max_connection_age_s,
        max_connection_idle_s=settings.max_connection_idle_s,
        secrets=_secrets(settings, worker),
    )
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    _remove_left_over(settings.state_dir, worker)
    if settings.workers_outlive_s:
        unbind_from_parent()  # here: the kernel keeps the bond for the main thread, soon Envoy's
    arguments = {
        "worker": str(worker),
        "listen": settings.listen,
        "parent_pid": str(os.getppid()),
    }
    if front.secrets is not None:
        write_secrets(settings.callers_transport.files.read(), front.secrets)
    become_envoy(files, front, settings.envoy_path(worker, os.getpid(), "json"), arguments)


def _secrets(settings: RouterSettings, worker: int) -> EnvoySecrets | None:
    """Return the files of certificates of this process's Envoy; None for plaintext."""
    transport = settings.callers_transport
    if transport.files.certificate is None:
        return None
    own, callers = (
        str(settings.envoy_path(worker, os.getpid(), kind)) for kind in ("own", "callers")
    )
    return EnvoySecrets(own, callers if transport.asks_callers else None)


def _remove_left_over(state_dir: Path, worker: int) -> None:
    """Remove the files of earlier Envoys of this worker, but no socket of one that runs."""
    for path in state_dir.glob(f"envoy-{worker}-*.*"):
        pid = path.stem.rpartition("-")[2]
        if path.suffix == ".json" or not psutil.pid_exists(int(pid)):
            path.unlink(missing_ok=True)


def _ip_address(listen: str) -> tuple[str, int]:
    """Return the address of `listen`: Envoy resolves no names."""
    host, _, port = listen.rpartition(":")
    try:
        found = socket.getaddrinfo(host.strip("[]") or "0.0.0.0", port, type=socket.SOCK_STREAM)  # noqa: S104 - ":PORT" means every interface
    except OSError as error:
        raise UnavailableError(f"address {listen}", str(error)) from error
    address = found[0][4]
    return str(address[0]), int(address[1])


async def _main(embedding: Embedding, open_server: OpenServer) -> int:
    worker = int(embedding.arguments["worker"])
    settings = load_settings(RouterSettings, {"listen": embedding.arguments["listen"]})
    configure_worker_logs(settings, worker)
    with _files_removed(settings, worker):
        if os.getppid() != int(embedding.arguments["parent_pid"]):
            _log.error("worker_not_started", why="its supervising process has ended")
            return UNAVAILABLE
        stop = stop_on_blocked_signals(longest_s=settings.stop_limit_s)
        # The process is the one that became Envoy, so the files have the same names.
        async with secrets_kept(settings.callers_transport.files, _secrets(settings, worker)):
            return await run_worker(
                settings,
                worker,
                stop,
                lambda _: nullcontext(
                    open_server(settings.largest_request_bytes, settings.most_due_calls)
                ),
            )


@contextmanager
def _files_removed(settings: RouterSettings, worker: int) -> Iterator[None]:
    """Remove the files of this process at its end, one with a key among them.

    The socket is still in use then; `EmbeddedProcess` removes it.
    """
    try:
        yield
    finally:
        for path in settings.state_dir.resolve().glob(f"envoy-{worker}-{os.getpid()}.*"):
            if path.suffix != ".sock":
                path.unlink(missing_ok=True)


application = EmbeddedProcess(_main)
