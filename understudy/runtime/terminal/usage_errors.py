"""Invalid command lines, reported as faults like any other input."""

from typing import Any

from pydantic import ValidationError
from typer._click.exceptions import (  # typer has no public names for them
    BadParameter,
    MissingParameter,
    NoArgsIsHelpError,
    NoSuchOption,
    UsageError,
)

from understudy.domain.errors import Fault, InvalidInputError
from understudy.runtime.validation import faults_of


def as_invalid_input(error: UsageError) -> InvalidInputError:
    """Return typer's `error` about a command line as our error."""
    match error:
        case NoArgsIsHelpError():
            faults = [Fault(_command(error), "no command", _commands(error))]
        case MissingParameter(param=parameter) if parameter is not None:
            faults = [Fault(_name(parameter), "nothing", _wanted(error.ctx, parameter))]
        case BadParameter(param=parameter) if parameter is not None:
            faults = _bad_value(error, parameter)
        case NoSuchOption():
            faults = [Fault(error.option_name, "an unknown option", _options(error))]
        case _:
            faults = [Fault(_command(error), error.format_message(), _usage(error))]
    return InvalidInputError(faults)


def _bad_value(error: BadParameter, parameter: Any) -> list[Fault]:
    name, choices = _name(parameter), parameter.type_descriptor.choices
    if not isinstance(error.__cause__, ValidationError):
        return [Fault(name, error.message, _usage(error))]
    accepted = " or ".join(map(str, choices)) if choices else ""
    found = faults_of(error.__cause__)
    return [Fault(name, each.read, accepted or each.accepted) for each in found]


def _name(parameter: Any) -> str:
    if parameter.param_type_name == "option":
        return str(max(parameter.opts, key=len))
    return str(parameter.metavar or parameter.name.upper())


def _wanted(context: Any, parameter: Any) -> str:
    """Describe the value of a required parameter."""
    variable = f", or {parameter.envvar} in the environment" if parameter.envvar else ""
    explained = f": {parameter.help}" if parameter.help else ""
    return f"{parameter.display_type(context)}{variable}{explained}"


def _command(error: UsageError) -> str:
    return error.ctx.command_path if error.ctx is not None else "command"


def _options(error: UsageError) -> str:
    if error.ctx is None:
        return "--help"
    parameters: list[Any] = error.ctx.command.get_params(error.ctx)
    options = [each for each in parameters if each.param_type_name == "option" and not each.hidden]
    return ", ".join(_name(each) for each in options)


def _commands(error: UsageError) -> str:
    command: Any = error.ctx.command if error.ctx is not None else None
    return ", ".join(command.list_commands(error.ctx)) if command is not None else "--help"


def _usage(error: UsageError) -> str:
    return f"as {_command(error)} --help says"
