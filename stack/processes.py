"""The processes of a stack on one machine, and their command lines."""

import fcntl
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from stack.access import StackAccess, access_for_commands, prepare_access
from stack.data_directory import EMBEDDED, DataDirectory
from stack.log_key import log_key_environment
from understudy.domain.errors import RefusedError
from understudy.features.stores import open_writer
from understudy.runtime.free_port import free_ports
from understudy.runtime.supervision.supervisor import ProcessSpec, Supervisor

REGISTRY = "registry"
SCORERS = "scorers"
ROUTER = "router"


@dataclass(frozen=True, slots=True)
class StackAddresses:
    """The public addresses of the stack, as host:port."""

    registry: str
    router: str
    scorer_host: str  # health only


@dataclass(frozen=True, slots=True)
class Stack:
    """A running stack. The supervisor stops it."""

    directory: DataDirectory
    addresses: StackAddresses
    supervisor: Supervisor
    access: StackAccess = field(default_factory=StackAccess)
    is_known: bool = False  # commands of this user find the access by the registry's address


def loopback_addresses() -> StackAddresses:
    """Return addresses with ports that were free a moment ago."""
    return StackAddresses(*(f"127.0.0.1:{port}" for port in free_ports(3)))


@asynccontextmanager
async def open_stack(
    directory: DataDirectory, addresses: StackAddresses, *, workers: int
) -> AsyncIterator[Stack]:
    """Start registry, scorer host and router, in this order; stop them in reverse.

    Raises:
        RefusedError: another stack runs in `directory`.
        InvalidInputError: a file of its access, or the environment, is not acceptable.
        UnavailableError: one of them did not become healthy.
    """
    directory.access.mkdir(parents=True, exist_ok=True, mode=0o700)
    if directory.features_store == EMBEDDED and not directory.registry.exists():
        # Readers create no store. Of a stack that has run before, a missing one is a loss to report.
        open_writer(directory.features_url).close_now()
    with _locked(directory.access):
        access = prepare_access(directory.access, addresses.registry, os.environ)
        with access_for_commands(
            access, addresses.registry, directory.access, os.environ
        ) as is_known:
            async with Supervisor(directory.process_logs) as supervisor:
                for spec in (
                    registry_process(directory, addresses, access),
                    scorer_host_process(directory, addresses, access),
                    router_process(directory, addresses, access, workers=workers),
                ):
                    await supervisor.start(spec)
                yield Stack(directory, addresses, supervisor, access, is_known)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock the folder until the block or the process ends: a second stack would replace its files."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise RefusedError(f"another stack runs in {folder.parent}") from error
    else:
        yield
    finally:
        os.close(descriptor)


def registry_process(
    directory: DataDirectory, addresses: StackAddresses, access: StackAccess
) -> ProcessSpec:
    return ProcessSpec(
        name=REGISTRY,
        arguments=(
            *("-m", "registry", "serve", "--dir", str(directory.registry)),
            *("--listen", addresses.registry),
        ),
        health_target=addresses.registry,
        environment=access.registry,
        transport=access.tls_health,
    )


def scorer_host_process(
    directory: DataDirectory, addresses: StackAddresses, access: StackAccess
) -> ProcessSpec:
    return ProcessSpec(
        name=SCORERS,
        arguments=(
            *("-m", "scorer", "host", "--registry", addresses.registry),
            *("--dir", str(directory.scorers), "--listen", addresses.scorer_host),
        ),
        health_target=addresses.scorer_host,
        serves_by_children=True,
        environment=access.scorers,
        transport=access.tls_health,
    )


def router_process(
    directory: DataDirectory, addresses: StackAddresses, access: StackAccess, *, workers: int
) -> ProcessSpec:
    return ProcessSpec(
        name=ROUTER,
        arguments=(
            *("-m", "router", "serve", "--listen", addresses.router),
            *("--registry", addresses.registry, "--features", directory.features_url),
            *("--log-dir", str(directory.logs), "--state-dir", str(directory.router)),
            *("--workers", str(workers)),
        ),
        health_target=addresses.router,
        serves_by_children=True,
        is_outlived=True,
        environment={
            **log_key_environment(directory.log_key, os.environ),
            **access.router,
        },
        transport=access.router_health,
        liveness_target=f"unix:{directory.router.resolve() / 'router.sock'}",
    )
