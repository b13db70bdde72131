"""The `understudy` command itself: fast start, clear errors."""

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from stack.__main__ import app
from stack.score import parse_pair, parse_scalar
from tests.in_process import run_command
from understudy.domain.errors import InvalidInputError
from understudy.runtime import exit_codes

HEAVY = ("grpc", "numpy", "onnxruntime", "pyarrow", "sklearn", "sqlalchemy", "duckdb")


def understudy(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "stack", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_help_names_all_parts_and_loads_none_of_them() -> None:
    script = (
        "import json, sys, contextlib\n"
        "from stack.__main__ import main\n"
        "with contextlib.suppress(SystemExit): main(['--help'])\n"
        f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    )

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True
    )

    *help_lines, loaded = done.stdout.strip().splitlines()
    assert json.loads(loaded) == []
    for name in ("demo", "up", "score", "registry", "router", "scorer", "features", "shadow"):
        assert any(line.startswith(f"│ {name} ") for line in help_lines), name


def test_the_versions_are_those_of_the_installed_distributions() -> None:
    done = understudy("--version")

    assert done.returncode == exit_codes.OK
    assert done.stdout.splitlines() == [
        f"{name} {version(name)}" for name in ("understudy-serving", "understudy-client")
    ]


@pytest.mark.parametrize("part", ["registry", "router", "scorer", "features", "shadow"])
def test_each_part_is_mounted(part: str) -> None:
    done = run_command(app, part, "--help")

    assert done.exit_code == 0, done.stderr
    assert f"{part} [OPTIONS]" in done.stdout


def test_a_demo_without_its_libraries_is_one_line_that_names_the_extra() -> None:
    script = (
        "import sys\n"
        "sys.modules['skl2onnx'] = None\n"  # to imports, not there
        "from stack.__main__ import main\n"
        "main(['demo'])"
    )

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False
    )

    assert done.returncode == exit_codes.UNAVAILABLE
    assert done.stderr.count("\n") == 1
    assert "skl2onnx" in done.stderr
    assert "understudy-serving[demo]" in done.stderr


def test_an_unknown_command_is_refused_by_name() -> None:
    done = understudy("regstry")

    assert done.returncode != 0
    assert "regstry" in done.stderr


def test_scoring_without_a_router_is_one_line_and_exit_69(
    unused_tcp_port: int,
) -> None:
    address = f"127.0.0.1:{unused_tcp_port}"

    done = understudy(
        "score", "cancer", "--entity", "patient=17", "--router", address, "--timeout-s", "0.3"
    )

    assert done.returncode == exit_codes.UNAVAILABLE
    assert done.stderr.count("\n") == 1
    assert address in done.stderr


@pytest.mark.parametrize(
    "arguments", [("--entity", "patient"), ("--entity", "p=1", "--output", "x")]
)
def test_scoring_with_bad_arguments_is_one_line_and_exit_64(arguments: tuple[str, ...]) -> None:
    done = understudy("score", "cancer", *arguments)

    assert done.returncode == exit_codes.USAGE
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("true", True), ("false", False), ("17", 17), ("-2.5", -2.5), ("1e3", 1000.0)),
        *(("NL", "NL"), ("01", "01"), ("1_000", "1_000"), ("NaN", "NaN"), ("Infinity", "Infinity")),
        *(('"1"', "1"), ('"', '"'), ("[1]", "[1]"), ("null", "null"), (" 1", 1)),
    ],
)
def test_a_feature_value_is_parsed_by_its_form(text: str, value: object) -> None:
    read = parse_scalar(text)

    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize("text", ["", "=", "a=", "=b", "a"])
def test_a_pair_needs_both_sides(text: str) -> None:
    with pytest.raises(InvalidInputError, match="NAME=VALUE"):
        parse_pair(text, "--entity")


def test_a_pair_is_split_at_its_first_equals_sign() -> None:
    assert parse_pair("user=a=b", "--entity") == ("user", "a=b")


@pytest.mark.parametrize("command", ["up", "demo"])
def test_a_folder_too_deep_for_sockets_is_refused_before_anything_starts(
    tmp_path: Path, command: str
) -> None:
    deep = tmp_path / ("x" * 90)

    done = run_command(app, command, "--dir", str(deep))

    assert done.exit_code == exit_codes.USAGE
    assert "an absolute path of at most" in done.stderr
    assert not deep.exists()
