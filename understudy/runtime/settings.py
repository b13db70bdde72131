"""Settings of a process: read once, frozen, unknown names refused, before any port is bound."""

import os
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any, ClassVar, TypeVar

from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from understudy.domain.errors import Fault, InvalidInputError
from understudy.runtime.terminal.json_output import print_json
from understudy.runtime.terminal.output_option import Format
from understudy.runtime.terminal.screen import Screen
from understudy.runtime.validation import faults_of


class ProcessSettings(BaseSettings):
    """Base of each process's settings: environment variables under the class's prefix.

    `other_prefixes` begin with this class's prefix and belong to another process, as
    `SCORER_HOST_` does with `SCORER_`.
    """

    other_prefixes: ClassVar[tuple[str, ...]] = ()

    model_config = SettingsConfigDict(env_nested_delimiter="__", frozen=True, extra="forbid")


SettingsT = TypeVar("SettingsT", bound=ProcessSettings)


def load_settings(kind: type[SettingsT], overrides: Mapping[str, Any]) -> SettingsT:
    """Read `kind` from the environment; `overrides` (command line) win where not None.

    Raises:
        InvalidInputError: values are invalid or missing, or the environment has an unknown name
            under the prefix.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    faults = _unknown_settings(kind)
    try:
        settings = kind(**given)
    except ValidationError as error:
        faults += [_named(fault, kind, overrides, given.keys()) for fault in faults_of(error)]
        raise InvalidInputError(faults) from error
    if faults:
        raise InvalidInputError(faults)
    return settings


def show_settings(settings: ProcessSettings, output: Format) -> None:
    """Print the effective settings, with secrets masked."""
    values = settings.model_dump(mode="json")
    if output is Format.JSON:
        print_json(values)
    else:
        Screen().facts(values.items())


def _named(
    fault: Fault, kind: type[ProcessSettings], overrides: Mapping[str, Any], given: Collection[str]
) -> Fault:
    """Return `fault` with the option or variable that sets the value, without secrets."""
    if not fault.field:
        return Fault(f"{_variable(kind, '')}*", fault.read, fault.accepted)
    name = fault.field.partition(".")[0].partition("[")[0]
    variable, option = _variable(kind, name), f"--{name.replace('_', '-')}"
    if fault.read == "nothing":
        ways = f"{option} or {variable}" if name in overrides else variable
        return Fault(option if name in overrides else variable, "nothing", f"a value, by {ways}")
    is_secret = kind.model_fields[name].annotation is SecretStr
    return Fault(
        option if name in given else variable,
        "a secret" if is_secret else fault.read,
        fault.accepted,
    )


def _unknown_settings(kind: type[ProcessSettings]) -> list[Fault]:
    # pydantic-settings ignores a misspelt top-level variable; a setting without effect
    # is refused.
    known = sorted(_variable(kind, name) for name in kind.model_fields)
    prefix = kind.model_config.get("env_prefix", "").upper()
    return [
        Fault(name, "an unknown setting", _suggestions(name, known))
        for name in sorted(os.environ)
        if name.upper().startswith(prefix)
        and not name.upper().startswith(kind.other_prefixes)
        and not any(name.upper() == k or name.upper().startswith(f"{k}__") for k in known)
    ]


def _variable(kind: type[ProcessSettings], name: str) -> str:
    return f"{kind.model_config.get('env_prefix', '')}{name}".upper()


def _suggestions(name: str, known: list[str]) -> str:
    return " or ".join(get_close_matches(name.upper(), known, n=3)) or ", ".join(known)
