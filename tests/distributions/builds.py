"""The two distributions, built from this checkout."""

import re
import sys
import tomllib
from dataclasses import dataclass
from email.message import Message
from email.parser import Parser
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from tests.distributions.environments import output_of

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "packaging" / "client"
PROJECTS = {"client": CLIENT, "serving": ROOT}


@dataclass(frozen=True, slots=True)
class Wheel:
    path: Path

    @property
    def files(self) -> set[str]:
        """The names of the installed files, without the metadata."""
        return {name for name in self._names() if not self._is_metadata(name)}

    @property
    def protos(self) -> dict[str, str]:
        """The texts by the name of the installed file."""
        return {name: self._text(name) for name in self.files if name.endswith(".proto")}

    @property
    def licences(self) -> dict[str, str]:
        """The texts by file name."""
        return {
            Path(name).name: self._text(name)
            for name in self._names()
            if self._is_metadata(name) and "/licenses/" in name
        }

    def metadata(self) -> Message:
        (name,) = (each for each in self._names() if each.endswith(".dist-info/METADATA"))
        return Parser().parsestr(self._text(name))

    def _names(self) -> list[str]:
        with ZipFile(self.path) as archive:
            return archive.namelist()

    def _text(self, name: str) -> str:
        with ZipFile(self.path) as archive:
            return archive.read(name).decode()

    def _is_metadata(self, name: str) -> bool:
        return name.partition("/")[0].endswith(".dist-info")


@dataclass(frozen=True, slots=True)
class Wheels:
    client: Wheel
    serving: Wheel


def project_of(name: str) -> dict[str, Any]:
    """Return the `project` table of a distribution's build file."""
    table: dict[str, Any] = tomllib.loads((PROJECTS[name] / "pyproject.toml").read_text())
    return table["project"]  # type: ignore[no-any-return] # a table, by the format


def floors_of(name: str, *, extra: str = "") -> dict[str, str]:
    """Return the declared minimum version of each dependency that has one."""
    project = project_of(name)
    requirements = [*project["dependencies"]]
    if extra:
        requirements += project["optional-dependencies"][extra]
    matches = (re.match(r"([\w-]+)>=([\w.]+)", requirement) for requirement in requirements)
    return {match.group(1): match.group(2) for match in matches if match}


def build_wheel(project: Path, folder: Path) -> Wheel:
    """Return the wheel that `make wheel` would build of `project`."""
    return Wheel(_built(project, "build_wheel", folder))


def build_editable(project: Path, folder: Path) -> Path:
    """Return the wheel that `pip install --editable` would install."""
    return _built(project, "build_editable", folder)


def unpacked_source(project: Path, folder: Path) -> Path:
    """Return the folder of the unpacked source distribution of `project`."""
    output_of(["tar", "-xf", _built(project, "build_sdist", folder), "-C", folder])
    (unpacked,) = (path.parent for path in folder.glob("*/PKG-INFO"))
    return unpacked


def _built(project: Path, hook: str, folder: Path) -> Path:
    """Call a hook of the build backend in the project's folder, as installers do."""
    folder.mkdir(exist_ok=True)
    script = f"from hatchling.build import {hook}; print({hook}({str(folder)!r}))"
    *_, name = output_of([sys.executable, "-c", script], cwd=project).splitlines()
    return folder / name
