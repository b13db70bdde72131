"""The step by which a Python process becomes Envoy with the interpreter inside: exec, same pid.

Its supervisor sees one process: signals, exit codes and the bond to its parent stay.
"""

import json
import os
import signal
from pathlib import Path
from typing import NoReturn

from understudy.runtime.front.embedding import embedding_environment
from understudy.runtime.front.envoy_config import EnvoyFront, envoy_config
from understudy.runtime.front.envoy_files import EnvoyFiles

DRAIN_S = 1  # from the first notice to callers until no connection is accepted
_LINES = (
    '{"timestamp":"%Y-%m-%dT%T.%fZ","level":"%l","event":"envoy_said","logger":"%n","text":"%j"}'
)


def become_envoy(
    files: EnvoyFiles, front: EnvoyFront, config: Path, arguments: dict[str, str]
) -> NoReturn:
    """Replace this process with Envoy, whose interpreter loads `front.application`.

    Args:
        files: of the installation.
        front: the server.
        config: file to write the configuration to; its folder is ours alone. Not on the command
            line: Envoy prints one that it refuses.
        arguments: of the application, which finds them in its `Embedding`.

    Raises:
        OSError: the configuration cannot be written, or Envoy not be started.
    """
    # Envoy ends every call at SIGTERM. Blocked signals wait for the thread that asks for them.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    environment = embedding_environment(
        os.environ,
        arguments=arguments,
        admin_socket=front.admin_socket,
        libpython=files.libpython,
    )
    config.unlink(missing_ok=True)
    config.touch(0o600)
    config.write_text(json.dumps(envoy_config(front)))
    # pyvoy searches the working directory for modules first; this folder has none.
    command = envoy_command(files.envoy, config)
    os.chdir(config.parent)
    os.execve(files.envoy, command, environment)  # noqa: S606 - no shell


def envoy_command(envoy: str, config: Path) -> list[str]:
    """Return the command line."""
    return [
        envoy,
        "--config-path",
        str(config.resolve()),
        "--concurrency",
        "1",  # we scale by processes
        "--disable-hot-restart",  # which leaves files in /dev/shm
        "--drain-time-s",
        str(DRAIN_S),
        "--drain-strategy",
        "immediate",
        "--log-level",
        "error",
        "--log-format",
        _LINES,
    ]
