"""The processes of a stack on one machine, and their command lines."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from stack.data_directory import EMBEDDED, DataDirectory
from stack.log_key import log_key_environment
from understudy.features.stores import open_writer
from understudy.runtime.free_port import free_ports
from understudy.runtime.supervision.supervisor import ProcessSpec, Supervisor
from understudy.runtime.transport.transport import LOCAL, Transport

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


def loopback_addresses() -> StackAddresses:
    """Return addresses with ports that were free a moment ago."""
    return StackAddresses(*(f"127.0.0.1:{port}" for port in free_ports(3)))


@asynccontextmanager
async def open_stack(
    directory: DataDirectory,
    addresses: StackAddresses,
    *,
    workers: int,
    transport: Transport = LOCAL,
) -> AsyncIterator[Stack]:
    """Start registry, scorer host and router, in this order; stop them in reverse.

    `transport`: to the processes, whose own is in the environment.

    Raises:
        UnavailableError: one of them did not become healthy.
    """
    directory.root.mkdir(parents=True, exist_ok=True)
    if directory.features_store == EMBEDDED and not directory.registry.exists():
        # Readers create no store. Of a stack that has run before, a missing one is a loss to report.
        open_writer(directory.features_url).close_now()
    async with Supervisor(directory.process_logs) as supervisor:
        for spec in (
            registry_process(directory, addresses),
            scorer_host_process(directory, addresses),
            router_process(directory, addresses, workers=workers),
        ):
            await supervisor.start(replace(spec, transport=transport))
        yield Stack(directory, addresses, supervisor)


def registry_process(directory: DataDirectory, addresses: StackAddresses) -> ProcessSpec:
    return ProcessSpec(
        name=REGISTRY,
        arguments=(
            *("-m", "registry", "serve", "--dir", str(directory.registry)),
            *("--listen", addresses.registry),
        ),
        health_target=addresses.registry,
    )


def scorer_host_process(directory: DataDirectory, addresses: StackAddresses) -> ProcessSpec:
    return ProcessSpec(
        name=SCORERS,
        arguments=(
            *("-m", "scorer", "host", "--registry", addresses.registry),
            *("--dir", str(directory.scorers), "--listen", addresses.scorer_host),
        ),
        health_target=addresses.scorer_host,
        serves_by_children=True,
    )


def router_process(
    directory: DataDirectory, addresses: StackAddresses, *, workers: int
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
        environment=log_key_environment(directory.log_key, os.environ),
        liveness_target=f"unix:{directory.router.resolve() / 'router.sock'}",
    )
