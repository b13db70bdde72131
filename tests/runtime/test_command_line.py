"""Exit codes of commands, and reports of failures to people and programs."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import pytest
import structlog
import typer
from typer.testing import CliRunner, Result

from understudy.domain import errors
from understudy.domain.errors import (
    CheckFailedError,
    ConflictError,
    Fault,
    InconclusiveError,
    InvalidInputError,
    NotFoundError,
    PermissionRefusedError,
    RefusedError,
    UnavailableError,
    UnderstudyError,
)
from understudy.runtime import exit_codes
from understudy.runtime.command_line import DEBUG, CommandGroup
from understudy.runtime.exit_codes import FAILED, INTERRUPTED, OK, REFUSED, UNAVAILABLE, USAGE
from understudy.runtime.terminal import failures
from understudy.runtime.terminal.output_option import Format, Output

FAULTS = (Fault("a", "1", "2"), Fault("b.c", "\x1b[2J\nx", "y"))
RAISED: dict[str, Exception] = {
    "input": InvalidInputError(FAULTS),
    "unknown": NotFoundError("model", "fraud"),
    "refused": RefusedError("not now"),
    "conflict": ConflictError("too late"),
    "forbidden": PermissionRefusedError("not you"),
    "away": UnavailableError("registry", "no answer"),
    "check": CheckFailedError("two faults", FAULTS),
    "thin": InconclusiveError("no rows"),
    "group": ExceptionGroup("workers", [RefusedError("one"), UnavailableError("router", "two")]),
    "bug": KeyError("pass word"),
    "buggy group": ExceptionGroup("workers", [RefusedError("one"), KeyError("two")]),
}

app = typer.Typer(cls=CommandGroup, no_args_is_help=True)
below = typer.Typer()  # an ordinary group, covered by its parent


@app.command()
def take(
    count: Annotated[int, typer.Option(min=1, envvar="TAKEN", help="How many.")],
    output: Output = Format.TABLE,
) -> None:
    if count > 1:
        raise typer.Exit(REFUSED)


@app.command()
def fail(how: str, output: Output = Format.TABLE) -> None:
    raise RAISED[how]


@app.command()
def stop() -> None:
    raise KeyboardInterrupt


@below.command()
def look(place: str, output: Output = Format.TABLE) -> None:
    typer.echo(place)


@below.command()
def leave() -> None:
    pass


app.add_typer(below, name="below")


def invoke(*words: str) -> Result:
    return CliRunner().invoke(app, words)


def told(result: Result) -> Any:
    (line,) = result.stderr.splitlines()
    return json.loads(line)


@pytest.mark.parametrize(
    ("words", "exit_code"),
    [
        ((), USAGE),
        (("nothing",), USAGE),
        (("--nothing",), USAGE),
        (("take",), USAGE),
        (("take", "--count", "0"), USAGE),
        (("take", "--count", "x"), USAGE),
        (("take", "--count"), USAGE),
        (("take", "--count", "1", "--nothing"), USAGE),
        (("below", "nothing"), USAGE),
        (("below", "look"), USAGE),
        (("below", "look", "a", "b"), USAGE),
        (("--help",), OK),
        (("below", "look", "a"), OK),
        (("take", "--count", "1"), OK),
        (("take", "--count", "2"), REFUSED),
        (("stop",), INTERRUPTED),
        (("fail", "input"), USAGE),
        (("fail", "unknown"), USAGE),
        (("fail", "refused"), REFUSED),
        (("fail", "conflict"), 75),
        (("fail", "forbidden"), 77),
        (("fail", "away"), UNAVAILABLE),
        (("fail", "check"), FAILED),
        (("fail", "thin"), 3),
        (("fail", "group"), UNAVAILABLE),
        (("fail", "bug"), FAILED),
        (("fail", "buggy group"), FAILED),
    ],
)
def test_what_happened_is_the_exit_code_in_both_forms(
    words: tuple[str, ...], exit_code: int
) -> None:
    assert invoke(*words).exit_code == exit_code
    if words and "--help" not in words and words[0] != "stop":
        assert invoke(*words, "--output=json").exit_code == exit_code


def test_each_fault_is_a_line_on_stderr() -> None:
    result = invoke("fail", "input")

    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "understudy: a: read 1; accepted: 2",
        "understudy: b.c: read \N{REPLACEMENT CHARACTER}[2J x; accepted: y",
    ]


def test_a_program_gets_one_object_on_stderr() -> None:
    result = invoke("fail", "check", "--output", "json")

    assert result.stdout == ""
    assert told(result) == {
        "kind": "check_failed",
        "message": "a: read 1; accepted: 2; b.c: read \x1b[2J\nx; accepted: y",
        "faults": [
            {"field": "a", "read": "1", "accepted": "2"},
            {"field": "b.c", "read": "\x1b[2J\nx", "accepted": "y"},
        ],
        "exit_code": FAILED,
    }


def test_several_errors_are_told_together_and_the_highest_code_counts() -> None:
    assert invoke("fail", "group").stderr.splitlines() == [
        "understudy: one",
        "understudy: router is unavailable: two",
    ]
    assert told(invoke("fail", "group", "--output", "json"))["kind"] == "unavailable"


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (("take", "--nothing"), ("--nothing", "an unknown option", "--count, --output, --help")),
        (("take",), ("--count", "nothing", "<int range>, or TAKEN in the environment: How many.")),
        (("take", "--count", "0"), ("--count", "'0'", "greater than or equal to 1")),
        (("below", "look"), ("PLACE", "nothing", "<str>")),
    ],
)
def test_an_invalid_command_line_is_reported_as_faults(
    words: tuple[str, ...], fault: tuple[str, str, str]
) -> None:
    field, read, accepted = fault

    result = invoke(*words)

    assert result.stderr == f"understudy: {field}: read {read}; accepted: {accepted}\n"
    (programs,) = told(invoke(*words, "--output=json"))["faults"]
    assert programs == {"field": field, "read": read, "accepted": accepted}


def test_an_unknown_form_is_told_in_the_form_for_people() -> None:
    result = invoke("take", "--count", "1", "--output", "xml")

    assert result.exit_code == USAGE
    assert result.stderr == "understudy: --output: read 'xml'; accepted: table or json\n"


def test_a_group_without_a_command_names_its_commands() -> None:
    assert "take, fail, stop, below" in invoke().stderr


def test_a_bug_is_a_short_line_and_its_trace_is_for_who_asks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    structlog.reset_defaults()  # other tests of this process may have set a log up
    short = invoke("fail", "bug")
    monkeypatch.setenv(DEBUG, "1")
    traced = invoke("fail", "bug")

    assert short.stderr.startswith("understudy: a bug in Understudy: KeyError: 'pass word'")
    assert len(short.stderr.splitlines()) == 1
    assert "Traceback" in traced.stderr
    assert traced.stderr.splitlines()[-1].startswith("understudy: a bug in Understudy")


def test_a_bug_of_a_server_is_in_its_log(tmp_path: Path) -> None:
    program = (
        "import typer\n"
        "from understudy.runtime.command_line import CommandGroup\n"
        "from understudy.runtime.logs import configure_logs\n"
        "app = typer.Typer(cls=CommandGroup)\n"
        "@app.command()\n"
        "def serve() -> None:\n"
        "    configure_logs('server')\n"
        "    raise KeyError('x')\n"
        "@app.command()\n"
        "def other() -> None: ...\n"
        "app(['serve'])\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )

    assert done.returncode == FAILED
    assert "Traceback" in json.loads(done.stdout)["exception"]
    assert "Traceback" not in done.stderr


def test_a_file_that_the_system_refuses_is_no_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RAISED, "disk", OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/x/y"))

    result = invoke("fail", "disk")

    assert (result.exit_code, result.stderr) == (
        FAILED,
        "understudy: /x/y: No space left on device\n",
    )


def test_a_reader_that_leaves_early_is_no_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RAISED, "pipe", OSError(errno.EPIPE, os.strerror(errno.EPIPE)))

    result = invoke("fail", "pipe")

    assert (result.exit_code, result.stderr) == (FAILED, "")


def _kinds() -> list[type[UnderstudyError]]:
    return [
        each
        for each in vars(errors).values()
        if isinstance(each, type) and issubclass(each, UnderstudyError)
        and each is not UnderstudyError
    ]  # fmt: skip


@pytest.mark.parametrize("kind", _kinds())
def test_every_error_of_ours_has_an_exit_code_and_a_kind(kind: type[UnderstudyError]) -> None:
    assert kind in exit_codes._CODE_OF
    assert kind in failures._KIND_OF
