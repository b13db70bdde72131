"""Options and settings in the pages exist."""

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer

from registry.settings import RegistrySettings
from router.settings import RouterSettings
from scorer.settings import HostSettings, ScorerSettings
from stack.__main__ import app
from understudy.features.settings import AerospikeSettings
from understudy.runtime.settings import ProcessSettings

ROOT = Path(__file__).resolve().parents[2]
# The changelog and the decisions name options and settings of the past too.
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs" / "how-to").glob("*.md")])
PAGES += sorted((ROOT / "docs" / "reference").glob("*.md"))
PAGES.remove(ROOT / "CHANGELOG.md")
GROUPS = {
    "compare": "understudy.comparison.cli.compare_command",
    "registry": "registry.cli.commands",
    "router": "router.cli.commands",
    "scorer": "scorer.commands",
    "features": "understudy.features.cli.commands",
    "shadow": "understudy.comparison.cli.commands",
    "logs": "understudy.comparison.cli.logs_commands",
}
COMMAND_LINE = re.compile(r"understudy ([a-z][^`\n]*)")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
SETTINGS: tuple[type[ProcessSettings], ...] = (
    RouterSettings,
    RegistrySettings,
    ScorerSettings,
    HostSettings,
    AerospikeSettings,
)
SETTING = re.compile(r"\b((?:ROUTER|REGISTRY|SCORER|FEATURES_AEROSPIKE)_[A-Z0-9_]*[A-Z0-9])\b(?!_)")
# Set by Kubernetes for a Service named `router`.
SERVICE_LINKS = re.compile(r"ROUTER_(SERVICE_HOST|SERVICE_PORT_GRPC|PORT|PORT_8400_TCP_ADDR)")


def commands(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, (*path, name))


def options_of_all_commands() -> dict[tuple[str, ...], set[str]]:
    roots = {(): app} | {(name,): import_module(module).app for name, module in GROUPS.items()}
    return {
        path: {option for each in command.params for option in (*each.opts, *each.secondary_opts)}
        for root, group in roots.items()
        for path, command in commands(typer.main.get_command(group), root)
    }


OPTIONS = options_of_all_commands()
NAMES = {
    f"{kind.model_config.get('env_prefix', '')}{name.upper()}"
    for kind in SETTINGS
    for name in kind.model_fields
}


def strange_options(text: str) -> list[str]:
    """Return the options in `text` that their command does not have."""
    found = []
    for line in COMMAND_LINE.findall(text.replace("\\\n", " ")):
        words = line.split()
        path = next(tuple(words[:n]) for n in (3, 2, 1, 0) if tuple(words[:n]) in OPTIONS)
        known = OPTIONS[path] | {"--help"}
        found += [f"{' '.join(path)} {each}" for each in OPTION.findall(line) if each not in known]
    return found


def strange_settings(text: str) -> list[str]:
    """Return the variables in `text` that no process reads."""
    named = {name for name in SETTING.findall(text) if not SERVICE_LINKS.fullmatch(name)}
    return sorted(name for name in named if name.removesuffix("_FILE") not in NAMES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_option_of_a_command_in_a_page_exists(page: Path) -> None:
    assert strange_options(page.read_text()) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_setting_in_a_page_exists(page: Path) -> None:
    assert strange_settings(page.read_text()) == []


def test_a_strange_option_is_found() -> None:
    assert strange_options("understudy registry canary m@2 \\\n --share 5%") == [
        "registry canary --share"
    ]


def test_a_strange_setting_is_found() -> None:
    assert strange_settings("`REGISTRY_REPORT_TTL_S` and `ROUTER_LISTEN`") == [
        "REGISTRY_REPORT_TTL_S"
    ]
