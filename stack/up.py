"""`understudy up`: the stack on this machine, until Ctrl-C or SIGTERM."""

import asyncio
import json
import random
import signal
import time
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from stack.data_directory import checked_directory
from stack.processes import Stack, StackAddresses, open_stack
from stack.router_books import read_books
from stack.settling import cpu_s_of_loading, until_settled
from understudy.control.access import CA_FILE, TOKEN_FILE
from understudy.control.client import RegistryClient
from understudy.control.report_wire import withheld_from_wire
from understudy.domain.errors import UnavailableError, UnderstudyError
from understudy.domain.features import view_from_canonical_json
from understudy.domain.restarts import GiveUp, Restart, RestartHistory, RestartPolicy
from understudy.runtime import exit_codes
from understudy.runtime.free_port import free_port
from understudy.runtime.terminal.json_output import print_json
from understudy.runtime.terminal.output_option import Format
from understudy.runtime.terminal.screen import Screen

_EXAMPLE_ENTITY_ID = "17"
_RESTARTS = RestartPolicy(first_back_off_s=0.1, longest_back_off_s=5.0, budget=5, window_s=60.0)


def run_up(
    directory: Path,
    *,
    registry_listen: str,
    router_listen: str,
    workers: int,
    features: str,
    output: Format,
) -> int:
    """Run the stack in `directory` until told to stop; return the exit code.

    Raises:
        InvalidInputError: `directory` cannot be used for the stack.
        UnavailableError: a process did not become healthy.
    """
    files = checked_directory(directory, features)
    addresses = StackAddresses(registry_listen, router_listen, f"127.0.0.1:{free_port()}")

    async def main() -> int:
        async with open_stack(files, addresses, workers=workers) as stack:
            show_started(stack, await wait_until_ready(stack), output)
            return await stay(stack)

    return run_until_interrupted(main(), interrupted_code=exit_codes.OK)


def show_started(stack: Stack, open_points: Sequence[str], output: Format) -> None:
    """Print the addresses of the stack, and the parts that are not served yet."""
    if output is Format.JSON:
        addresses = stack.addresses
        print_json(
            {
                "router": addresses.router,
                "registry": addresses.registry,
                "files": stack.directory.root.resolve(),
                "access": stack.directory.access.resolve(),
                "not_yet": open_points,
            }
        )
        return
    screen = Screen()
    for why in open_points:
        screen.say(("not yet: ", "yellow"), why)
    show_addresses(screen, stack)
    screen.say("Ctrl-C stops it.")


async def wait_until_ready(stack: Stack) -> tuple[str, ...]:
    """Return () once everything deployed is served, or the open points, without further progress."""
    with RegistryClient(stack.addresses.registry, access=stack.access.operator) as registry:
        return await until_settled(
            partial(_open_points, stack), partial(cpu_s_of_loading, registry)
        )


async def _open_points(stack: Stack) -> tuple[str, ...]:
    try:
        books = await read_books(stack.directory.router)
    except UnavailableError as error:  # a worker that is starting
        return (str(error),)
    withheld = {
        f"{model.model}: {withheld_from_wire(part)}"
        for each in books
        for model in each.models
        for part in model.withheld
    }
    return tuple(sorted(withheld))


async def stay(stack: Stack, restarts: RestartPolicy = _RESTARTS) -> int:
    """Restart processes that end, and report it; return when a process is not restarted."""
    histories: dict[str, RestartHistory] = {}
    while True:
        ended = await stack.supervisor.until_one_ends(_tell)
        if ended.refused:
            _tell(f"{ended.why}; not restarted")
            return exit_codes.USAGE
        history = histories.get(ended.name, RestartHistory(restarts))
        histories[ended.name], plan = history.failed(time.monotonic(), random.random())  # noqa: S311 - jitter
        match plan:
            case GiveUp():
                _tell(f"{ended.why}; {plan}")
                return exit_codes.FAILED
            case Restart():
                _tell(f"{ended.why}; restarting it")
                await asyncio.sleep(plan.after_s)
                with suppress(UnderstudyError):  # the next turn reports why it ended again
                    await stack.supervisor.restart(ended.name)


def _tell(line: str) -> None:
    Screen(stderr=True).say(f"understudy: {line}")


def run_until_interrupted(main: Coroutine[Any, Any, int], *, interrupted_code: int) -> int:
    """Run `main` and return its exit code.

    Ctrl-C and SIGTERM cancel it; it ends with `interrupted_code` after cleaning up.
    """

    async def cancellable() -> int:
        loop = asyncio.get_running_loop()
        task = loop.create_task(main)  # awaited just below
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel)
        return await task

    try:
        return asyncio.run(cancellable())
    except asyncio.CancelledError:
        return interrupted_code


def show_addresses(screen: Screen, stack: Stack) -> None:
    """Print where the stack answers, and a line each to score with grpcurl and with Python."""
    addresses, directory = stack.addresses, stack.directory
    model, entity = _example(stack)
    screen.say(f"router    {addresses.router}")
    screen.say(f"registry  {addresses.registry}")
    screen.say(f"files     {directory.root.resolve()} (logs, process-logs, …)")
    if not stack.is_known:
        access = directory.access.resolve()
        screen.say("for commands, because this user has no state directory that can be written:")
        screen.say(f"export UNDERSTUDY_TLS_CA={access / CA_FILE}")
        screen.say(f"export UNDERSTUDY_TOKEN_FILE={access / TOKEN_FILE}")
    request = json.dumps({"model": model, "entities": {entity: _EXAMPLE_ENTITY_ID}})
    screen.say(
        f"grpcurl -plaintext -d '{request}' {addresses.router} "
        "understudy.scoring.v1.ScoringService/Score"
    )
    screen.say(
        f'python -c "from understudy.client import ScoringClient; '
        f"print(ScoringClient('{addresses.router}').score('{model}', "
        f"{{'{entity}': '{_EXAMPLE_ENTITY_ID}'}}).score)\""
    )


def _example(stack: Stack) -> tuple[str, str]:
    """Return a deployed model and its entity type; placeholders if there is none."""
    access = stack.access.operator
    try:
        with RegistryClient(stack.addresses.registry, access=access) as client:
            for deployment in client.get_status().deployments:
                version = client.get_version(deployment.model, deployment.champion)
                for definition in version.feature_views:
                    view = view_from_canonical_json(definition.canonical_json)
                    return deployment.model, view.entity
    except UnderstudyError:
        pass  # the lines below are only examples
    return "MODEL", "ENTITY"
