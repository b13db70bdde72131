"""Settings of a process: read once, frozen, strangers refused, before any port is bound."""

import json
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from understudy.runtime.exit_codes import USAGE

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


class ProcessSettings(BaseSettings):
    """Base of each process's settings: environment variables under the class's prefix.

    `other_prefixes` begin with this class's prefix and belong to another process, as
    `SCORER_HOST_` does beside `SCORER_`.
    """

    other_prefixes: ClassVar[tuple[str, ...]] = ()

    model_config = SettingsConfigDict(env_nested_delimiter="__", frozen=True, extra="forbid")


SettingsT = TypeVar("SettingsT", bound=ProcessSettings)


def load_settings(
    kind: type[SettingsT], overrides: Mapping[str, Any], *, print_and_exit: bool = False
) -> SettingsT:
    """Read `kind` from the environment; `overrides` (command line) win where not None.

    Exits with 64 and a line per fault on stderr when a value is bad, or when the environment
    holds a name under the prefix that no setting has. With `print_and_exit` the effective
    settings go to stdout as JSON (secrets masked) and the process ends with 0.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    faults = _strangers(kind)
    settings: SettingsT | None = None
    try:
        settings = kind(**given)
    except ValidationError as error:
        faults += [_line_of(fault) for fault in error.errors()]
    if settings is None or faults:
        for line in faults:
            print(f"bad setting: {line}", file=sys.stderr)  # noqa: T201 - logs are not set up yet
        sys.exit(USAGE)
    if print_and_exit:
        print(json.dumps(settings.model_dump(mode="json"), indent=2))  # noqa: T201 - asked for
        sys.exit(0)
    return settings


def _line_of(fault: "ErrorDetails") -> str:
    if not fault["loc"]:  # about several settings: what was read is all of them, secrets too
        return f"settings: {fault['msg']}"
    return f"{'.'.join(map(str, fault['loc']))}: read {fault['input']!r}; {fault['msg']}"


def _strangers(kind: type[ProcessSettings]) -> list[str]:
    # pydantic-settings ignores a misspelt top-level variable; a setting that will not act is
    # refused, not ignored.
    prefix = kind.model_config.get("env_prefix", "").upper()
    known = {f"{prefix}{name.upper()}" for name in kind.model_fields}
    return [
        f"{name}: no such setting; known: {', '.join(sorted(known))}"
        for name in sorted(os.environ)
        if name.upper().startswith(prefix)
        and not name.upper().startswith(kind.other_prefixes)
        and not any(name.upper() == k or name.upper().startswith(f"{k}__") for k in known)
    ]
