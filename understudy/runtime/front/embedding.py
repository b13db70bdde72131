"""The facts that a process hands to itself when it becomes Envoy with the interpreter inside."""

import json
import os
import sys
from collections.abc import Mapping, MutableMapping
from dataclasses import asdict, dataclass

VARIABLE = "UNDERSTUDY_EMBEDDED"
_INTERPRETER = ("LD_PRELOAD", "PYTHONHOME", "PYTHONPATH", "PYTHONSAFEPATH")


@dataclass(frozen=True, slots=True)
class Embedding:
    """The interpreter before Envoy, and the arguments of the application."""

    arguments: dict[str, str]
    admin_socket: str
    executable: str  # Python's: inside Envoy `sys.executable` is another
    folder: str  # the working directory
    environment: dict[str, str | None]  # of the interpreter, before Envoy needed it otherwise


def embedding_environment(
    own: Mapping[str, str], *, arguments: dict[str, str], admin_socket: str, libpython: str
) -> dict[str, str]:
    """Return the environment in which Envoy finds this interpreter, and `embedded` all of this.

    Args:
        own: the environment of this process.
        arguments: of the application.
        admin_socket: path of Envoy's admin socket.
        libpython: path of the shared library of this interpreter.
    """
    embedding = Embedding(
        arguments=arguments,
        admin_socket=admin_socket,
        executable=sys.executable,
        folder=os.getcwd(),  # noqa: PTH109 - a string, for JSON
        environment={name: own.get(name) for name in _INTERPRETER},
    )
    preloaded = own.get("LD_PRELOAD", "")  # another malloc, say
    return {
        **own,
        "LD_PRELOAD": f"{preloaded}:{libpython}" if preloaded else libpython,
        "PYTHONHOME": f"{sys.prefix}:{sys.exec_prefix}",
        "PYTHONPATH": os.pathsep.join(sys.path),
        "PYTHONSAFEPATH": "1",
        VARIABLE: json.dumps(asdict(embedding)),
    }


def embedded(environment: MutableMapping[str, str]) -> Embedding:
    """Return the facts from `environment`, and give it back the variables of before.

    Children would inherit them: a preloaded interpreter, and a path that names this one's packages.

    Raises:
        KeyError: this process is not inside Envoy.
    """
    embedding = Embedding(**json.loads(environment.pop(VARIABLE)))
    for name, value in embedding.environment.items():
        if value is None:
            environment.pop(name, None)
        else:
            environment[name] = value
    return embedding
