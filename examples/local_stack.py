"""A stack on this machine for the time of an example, and the commands of its operator."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from understudy.runtime.exit_codes import UNAVAILABLE
from understudy.runtime.free_port import free_ports

VIEWS = Path(__file__).parent / "views.yaml"
_SCRIPT = Path(sys.executable).with_name("understudy")
_PAUSE_S = 0.5
_MOST_PAUSES = 1_200


@dataclass(frozen=True, slots=True)
class LocalStack:
    """Addresses as HOST:PORT, and the folder of all files."""

    registry: str
    router: str
    folder: Path

    def load_features(self, view: str, csv: str) -> None:
        """Write rows of a view into the store, as `understudy features load` reads them.

        Args:
            view: its name.
            csv: a header and rows: the entity, `event_time`, and the features; an empty field is absent.
        """
        file = self.folder / f"{view}.csv"
        file.write_text(csv)
        store = f"lmdb:{self.folder / 'features.lmdb'}"
        given = ("--views", str(VIEWS), "--view", view, "--store", store)
        self._run("features", "load", str(file), *given).check_returncode()

    def change(self, *arguments: str) -> None:
        """Run `understudy registry ARGUMENTS`, which waits until the change is in effect."""
        done = self._run("registry", *arguments)
        if done.returncode == UNAVAILABLE:  # made, but a busy machine takes more than a minute
            self._await_effect()
            return
        done.check_returncode()

    def _await_effect(self) -> None:
        for _ in range(_MOST_PAUSES):
            status = json.loads(self._run("registry", "status", "--output", "json").stdout)
            if _is_in_effect(status):
                return
            time.sleep(_PAUSE_S)
        raise TimeoutError(f"the change is not in effect; the output of the stack: {self.folder}")

    def _run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        environment = {**os.environ, "UNDERSTUDY_REGISTRY": self.registry}
        return subprocess.run(
            [_SCRIPT, *arguments], env=environment, stdout=subprocess.PIPE, text=True, check=False
        )


@contextmanager
def local_stack() -> Iterator[LocalStack]:
    """Run `understudy up` in a temporary folder; stop it and delete the folder at the end."""
    registry, router = (f"127.0.0.1:{port}" for port in free_ports(2))
    with TemporaryDirectory(prefix="understudy-example-") as folder:
        listen = ("--registry-listen", registry, "--router-listen", router)
        command = (_SCRIPT, "up", "--dir", folder, *listen, "--routers", "1", "--output", "json")
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as up:
            try:
                _await_end_of_document(up)
                yield LocalStack(registry, router, Path(folder))
            finally:
                up.terminate()


def _await_end_of_document(up: "subprocess.Popen[str]") -> None:
    """Return once the stack has printed its addresses, which it does when all processes serve."""
    for line in up.stdout or ():
        if line.startswith("}"):
            return
    raise RuntimeError("`understudy up` ended; its reason is above")


def _is_in_effect(status: dict[str, Any]) -> bool:
    current = {each["model"]: each["revision"] for each in status["deployments"]}
    states = [state for router in status["routers"] for state in router["models"]]
    served = {each["model"]: each["revision"] for each in states if not each["withheld"]}
    return served == current
