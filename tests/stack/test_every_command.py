"""Every command has one manner: help, output, how it fails, and what it leaves alone."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.stack.every_command import all_commands, call
from understudy.runtime.exit_codes import OK, UNAVAILABLE, USAGE
from understudy.runtime.terminal.output_option import Format

COMMANDS = all_commands()
NOWHERE = "nowhere/at/all"
LMDB = ("--store", f"lmdb:{NOWHERE}")
NO_VIEWS = ("--views", f"{NOWHERE}.yaml")
VIEWS = ("--views", "../views.yaml")
HISTORY = ("--history", f"user={NOWHERE}.parquet")
LOGS = ("--log-dir", NOWHERE)
PLAIN = ("--log-ids", "plain")
MODEL = ("--model", "fraud")
AWAY = ("--registry", "127.0.0.1:1")
IDENTITIES = ("--file", NOWHERE)
HEADS = ("--head", NOWHERE, "--trusted-key", NOWHERE)
DRILL = ("--level", "L3", "--reason", "r", "--state-dir", NOWHERE)
VERSION = (
    "--artifact",
    NOWHERE,
    "--provenance",
    f"{NOWHERE}.json",
    "--score-output",
    "p:1",
    "--views",
    f"{NOWHERE}.yaml",
)

# The words of each command that reads, and what it ends with where nothing is.
IMPORT = (
    *("--training", NOWHERE, "--evaluation", NOWHERE, "--label", "y", "--facts", NOWHERE),
    *("--reason", "a test"),
)
READING: list[tuple[tuple[str, ...], int]] = [
    (("features", "validate", f"{NOWHERE}.yaml"), USAGE),
    (("features", "list", *NO_VIEWS), USAGE),
    (("features", "show", "user", *NO_VIEWS), USAGE),
    (("features", "diff", f"{NOWHERE}.yaml", f"{NOWHERE}2.yaml"), USAGE),
    (("features", "load", f"{NOWHERE}.parquet", *VIEWS, *LMDB), USAGE),
    (("features", "ping", *LMDB), USAGE),
    (("features", "get", "u1", "--view", "user", *VIEWS, *LMDB), USAGE),
    (("features", "freshness", *VIEWS, *LMDB), USAGE),
    (("features", "history", f"{NOWHERE}.parquet", "out.parquet", *VIEWS, *HISTORY), USAGE),
    (("features", "audit", "--log", f"{NOWHERE}.parquet", *VIEWS, *HISTORY, *PLAIN), USAGE),
    (("compare", *LOGS, *MODEL), USAGE),
    (("shadow", "tail", *LOGS), USAGE),
    (("logs", "retain", "--days", "1", *LOGS), USAGE),
    (("logs", "erase", "--unit", "u1", *PLAIN, *LOGS), USAGE),
    (("logs", "compact", *LOGS), USAGE),
    (("shadow", "digest", "u1", "--log-key-file", NOWHERE), USAGE),
    (("shadow", "ledger", *LOGS, *MODEL), USAGE),
    (("shadow", "sql", "SELECT 1", *LOGS), USAGE),
    (("shadow", "outcomes", "import", f"{NOWHERE}.csv", *LOGS, *MODEL), USAGE),
    (("router", "status", "--state-dir", NOWHERE), USAGE),
    (("router", "drill", *DRILL, *AWAY), USAGE),
    (("router", "assign", "--deployment", f"{NOWHERE}.json"), USAGE),
    (("router", "explain", "fraud", "u1", "--router", "127.0.0.1:1"), UNAVAILABLE),
    (("scorer", "serve", NOWHERE, "--name", "fraud"), USAGE),
    (("registry", "list", *AWAY), UNAVAILABLE),
    (("registry", "show", "fraud@1", *AWAY), UNAVAILABLE),
    (("registry", "export", "fraud@1", *AWAY), UNAVAILABLE),
    (("registry", "history", "fraud", *AWAY), UNAVAILABLE),
    (("registry", "tags", "fraud", *AWAY), UNAVAILABLE),
    (("registry", "show", "fraud@baseline", *AWAY), UNAVAILABLE),
    (("registry", "status", *AWAY), UNAVAILABLE),
    (("registry", "contract", "fraud", *AWAY), UNAVAILABLE),
    (("registry", "state", "fraud", "--at", "2026-03-01", *AWAY), UNAVAILABLE),
    (("registry", "verify", "fraud@1", *AWAY), UNAVAILABLE),
    (("registry", "explain", "r1", *LOGS, *AWAY), USAGE),
    (("registry", "audit", "list", *AWAY), UNAVAILABLE),
    (("registry", "audit", "refusals", *AWAY), UNAVAILABLE),
    (("registry", "audit", "head", *AWAY), UNAVAILABLE),
    (("registry", "audit", "verify", *AWAY), UNAVAILABLE),
    (("registry", "audit", "verify", "--export", NOWHERE), USAGE),
    (("registry", "audit", "verify", *HEADS, *AWAY), USAGE),
    (("registry", "audit", "export", "new.jsonl", *AWAY), UNAVAILABLE),
    (("registry", "audit", "export", NOWHERE, *AWAY), USAGE),
    (("registry", "audit", "new-key", NOWHERE), USAGE),
    (("registry", "backup", "new.tar", *AWAY), UNAVAILABLE),
    (("registry", "backup", f"{NOWHERE}.tar", *AWAY), USAGE),
    (("registry", "restore", f"{NOWHERE}.tar", "--dir", "new", "--reason", "r"), USAGE),
    (("registry", "database", "upgrade", "--dir", NOWHERE, "--reason", "r"), USAGE),
    (("registry", "check", "fraud", *VERSION, *AWAY), USAGE),
    (("registry", "import-mlflow", "models:/fraud@candidate", *IMPORT, *AWAY), USAGE),
    (("registry", "identities", "list", *IDENTITIES), USAGE),
    (
        (
            "registry",
            "identities",
            "add",
            "ann",
            "--role",
            "viewer",
            "--token-file",
            "t",
            *IDENTITIES,
        ),
        USAGE,
    ),
    (("registry", "identities", "renew", "ann", "--token-file", "t", *IDENTITIES), USAGE),
    (("registry", "identities", "remove", "ann", *IDENTITIES), USAGE),
    (("registry", "check", "fraud@1", *AWAY), UNAVAILABLE),
    (("registry", "diff", "fraud@1", "2", *AWAY), UNAVAILABLE),
    (("registry", "download", "fraud@1", "--to", "copy", *AWAY), UNAVAILABLE),
    (("registry", "download", "fraud@1", "--to", NOWHERE, *AWAY), USAGE),
    (("registry", "bundle", "export", "fraud@1", "--to", "copy", *AWAY), UNAVAILABLE),
    (("registry", "bundle", "verify", NOWHERE, "--trusted-key", NOWHERE), USAGE),
    (("registry", "bundle", "import", NOWHERE, "--reason", "r", *AWAY), USAGE),
    (
        ("registry", "rules", "fraud", "--file", f"{NOWHERE}.yaml", "--reason", "r", *AWAY),
        USAGE,
    ),
    (("registry", "apply", "--file", f"{NOWHERE}.yaml", "--reason", "r", *AWAY), USAGE),
    (("registry", "provenance", "init", "new.json", "--dir", NOWHERE), USAGE),
    (("score", "fraud", "--entity", "user=1", "--router", "127.0.0.1:1"), UNAVAILABLE),
]

# The words of each command that needs a place, without it, and the option that names it.
PLACELESS: list[tuple[tuple[str, ...], str]] = [
    (("up",), "--dir"),
    (("registry", "serve"), "--dir"),
    (("registry", "restore", "b.tar", "--reason", "r"), "--dir"),
    (("registry", "database", "upgrade", "--reason", "r"), "--dir"),
    (("registry", "provenance", "init", "new.json"), "--dir"),
    (("scorer", "host"), "--dir"),
    (("router", "serve", "--features", "lmdb:f", "--log-dir", "l"), "--state-dir"),
    (("router", "serve", "--features", "lmdb:f", "--state-dir", "s"), "--log-dir"),
    (("router", "serve", "--log-dir", "l", "--state-dir", "s"), "--features"),
    (("router", "status"), "--state-dir"),
    (("router", "drill", "--level", "L3", "--reason", "r"), "--state-dir"),
    (("features", "ping"), "--store"),
    (("features", "get", "u1", "--view", "user", "--views", "v"), "--store"),
    (("features", "load", "f.parquet", *VIEWS), "--store"),
    (("shadow", "tail"), "--log-dir"),
    (("logs", "retain", "--days", "1"), "--log-dir"),
    (("logs", "erase", "--unit", "u1"), "--log-dir"),
    (("shadow", "outcomes", "import", "f.csv", *MODEL), "--log-dir"),
    (("registry", "explain", "r1"), "--log-dir"),
    (("registry", "identities", "list"), "--file"),
    (("registry", "download", "fraud@1"), "--to"),
    (("registry", "bundle", "export", "fraud@1"), "--to"),
]


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder `here`; return the folder around it, which holds a file of views."""
    here = tmp_path / "here"
    here.mkdir()
    (tmp_path / "views.yaml").write_text(
        "views: [{name: user, version: 1, entity: user, features: [{name: age, dtype: int64}]}]"
    )
    monkeypatch.chdir(here)
    for name in ("UNDERSTUDY_LOG_DIR", "UNDERSTUDY_ROUTER_STATE_DIR"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(words: tuple[str, ...]) -> None:
    shown = call(*words, "--help")

    assert shown.exit_code == OK
    assert f"understudy {' '.join(words)}" in " ".join(shown.stdout.split())


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_both_forms_of_output(words: tuple[str, ...]) -> None:
    options: dict[str, Any] = {name: each for each in COMMANDS[words].params for name in each.opts}

    assert "--output" in options
    assert set(options["--output"].type_descriptor.choices) >= set(Format)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_refuses_an_unknown_option_in_both_forms(words: tuple[str, ...]) -> None:
    for_people = call(*words, "--made-up")
    for_programs = call(*words, "--output", "json", "--made-up")

    assert for_people.exit_code == for_programs.exit_code == USAGE
    assert for_people.stderr.startswith("understudy: --made-up: read an unknown option; accepted:")
    told = json.loads(for_programs.stderr)
    assert told["exit_code"] == USAGE
    assert told["faults"][0]["field"] == "--made-up"


def test_every_whole_number_of_the_registrys_commands_fits_into_a_message() -> None:
    most = {
        (*words, each.name): each.max
        for words, command in COMMANDS.items()
        for each in command.params
        if words[0] == "registry" and each.type_descriptor.annotation is int
    }

    assert ("registry", "rollback", "to_revision") in most
    assert [option for option, limit in most.items() if limit is None] == []


@pytest.mark.parametrize(("words", "exit_code"), READING, ids=str)
def test_reading_what_is_not_there_is_told_and_creates_nothing(
    outside: Path, words: tuple[str, ...], exit_code: int
) -> None:
    before = files_in(outside)

    for_people = call(*words)
    for_programs = call(*words, "--output", "json")

    assert files_in(outside) == before
    assert (for_people.exit_code, for_programs.exit_code) == (exit_code, exit_code)
    assert for_people.stderr.startswith("understudy: ")
    if exit_code == USAGE:
        assert NOWHERE in for_people.stderr
    told = json.loads(for_programs.stderr)
    assert told["exit_code"] == exit_code
    assert told["kind"] in {"invalid_input", "not_found", "unavailable"}


@pytest.mark.parametrize(("words", "option"), PLACELESS, ids=str)
def test_a_command_that_needs_a_place_asks_for_it(
    outside: Path, words: tuple[str, ...], option: str
) -> None:
    before = files_in(outside)

    refused = call(*words)

    assert refused.exit_code == USAGE
    assert f"understudy: {option}: read nothing; accepted: " in refused.stderr
    assert files_in(outside) == before


@pytest.mark.parametrize("taken", ["key", "key.pub"])
def test_a_pair_of_keys_is_made_whole_or_not_at_all(outside: Path, taken: str) -> None:
    Path(taken).write_text("kept")

    refused = call("registry", "audit", "new-key", "key")

    assert refused.exit_code == USAGE
    assert taken in refused.stderr
    assert files_in(outside / "here") == [taken]
    assert Path(taken).read_text() == "kept"


def test_no_command_that_reads_is_forgotten() -> None:
    tried = {words for words, _ in READING}
    changing = {"deploy", "undeploy", "shadow", "canary", "promote", "rollback"}
    changing |= {"fallback", "threshold", "restore", "block", "unblock", "forget-host"}
    changing |= {"set", "pause", "place", "retire", "reinstate", "gc"}
    changing |= {"approve", "reject", "require-approval"}
    changing |= {"tag", "untag"}
    forgotten = [
        path
        for path in COMMANDS
        if not any(words[: len(path)] == path for words in tried)
        and path not in {("registry", name) for name in (*changing, "register", "serve")}
        and path
        not in {
            *(("demo",), ("up",), ("scorer", "host"), ("router", "serve")),
            ("registry", "provenance", "fields"),
            ("features", "delete"),
        }
    ]

    assert forgotten == []
