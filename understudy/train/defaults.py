"""Facts that are the same for all trainings of a repository: `[tool.understudy]` in pyproject.toml."""

import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from understudy.control.client import DEFAULT_REGISTRY
from understudy.domain.errors import Fault, InvalidInputError
from understudy.runtime.validation import accepted

FILE = "pyproject.toml"
_TABLE = "tool.understudy"


class _Part(BaseModel):
    """A table without unknown keys: a default that does not act is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class People(_Part):
    owner: str = ""
    author: str = ""  # "" for the user at the keyboard
    contact: str = ""
    approver: str = ""


class Policy(_Part):
    intended_use: str = ""
    licence: str = ""
    revalidate_after_days: Annotated[int, Field(ge=1, le=3_650)] | None = None


class DataDefaults(_Part):
    uri: str = ""  # location of the data
    label: str = ""  # the meaning of the label


class ModelDefaults(_Part):
    """Defaults of one model; they precede those of the repository."""

    features: tuple[str, ...] = ()  # `view@version:feature`, in the order of the columns
    data: DataDefaults = DataDefaults()
    policy: Policy = Policy()
    people: People = People()


class Defaults(_Part):
    """The table `[tool.understudy]`. Paths are relative to the file."""

    registry: str = DEFAULT_REGISTRY
    views: Path | None = None
    lockfile: Path | None = None
    builder: str = ""  # "" for the author
    people: People = People()
    policy: Policy = Policy()
    models: dict[str, ModelDefaults] = {}

    def people_of(self, model: str) -> dict[str, str]:
        """Return the people of a model; one without a name anywhere is left out."""
        return _joined(self.people, self._of(model).people)

    def policy_of(self, model: str) -> dict[str, Any]:
        """Return the policy of a model; a part without a value anywhere is left out."""
        return _joined(self.policy, self._of(model).policy)

    def data_of(self, model: str) -> dict[str, str]:
        """Return the facts about the data of a model; one without a value is left out."""
        return _joined(DataDefaults(), self._of(model).data)

    def features_of(self, model: str) -> tuple[str, ...]:
        """Return the feature set of a model; () if none is declared."""
        return self._of(model).features

    def _of(self, model: str) -> ModelDefaults:
        return self.models.get(model, ModelDefaults())


def read_defaults(directory: Path) -> Defaults:
    """Return the defaults of the nearest pyproject.toml with a table `[tool.understudy]`.

    Args:
        directory: the search begins here and goes up.

    Raises:
        InvalidInputError: a file on the way is not TOML, or the table has unknown keys or values;
            all of them are named.
    """
    for folder in (directory.resolve(), *directory.resolve().parents):
        file = folder / FILE
        table = _table_of(file) if file.is_file() else None
        if table is not None:
            return _validated(file, table)
    return Defaults()


def _table_of(file: Path) -> dict[str, Any] | None:
    try:
        written = tomllib.loads(file.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInputError.of(str(file), read=error, accepted="a file in TOML") from error
    table: dict[str, Any] | None = written.get("tool", {}).get("understudy")
    return table


def _validated(file: Path, table: dict[str, Any]) -> Defaults:
    try:
        found = Defaults.model_validate(table)
    except ValidationError as error:
        faults = [_fault(file, each["loc"], each["input"], each["msg"]) for each in error.errors()]
        raise InvalidInputError(faults) from error
    paths = {name: getattr(found, name) for name in ("views", "lockfile")}
    placed = {name: file.parent / path for name, path in paths.items() if path is not None}
    return found.model_copy(update=placed)


def _fault(file: Path, place: tuple[int | str, ...], read: object, message: str) -> Fault:
    field = ".".join([_TABLE, *(str(step) for step in place)])
    wanted = f"one of {', '.join(Defaults.model_fields)}" if len(place) == 1 else "no such key"
    text = wanted if message.startswith("Extra inputs") else accepted(message)
    return Fault.of(f"{file}: {field}", read=read, accepted=text)


def _joined(general: _Part, particular: _Part) -> dict[str, Any]:
    values = {**general.model_dump(), **particular.model_dump(exclude_defaults=True)}
    return {name: value for name, value in values.items() if value not in {"", None}}
