"""`understudy registry contract`: shown, changed on purpose, counted from the score log."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry.decisions.refused_requests import Counted
from registry.sent_requests import count_refused
from tests.logs.builders import score_batch
from tests.registry.commands import REASON, command, json_of
from tests.registry.operator import served_registry
from tests.registry.samples import ACTOR
from understudy.domain.request_contract import RequestContract
from understudy.logs.writer import LogWriter
from understudy.runtime.exit_codes import REFUSED, USAGE

BEFORE = RequestContract(required_entities=("user",), entities=("user", "shop"))
AFTER = RequestContract(required_entities=("user", "shop"), entities=("user", "shop"))


def write_log(logs: Path, *sent: tuple[str, ...] | None) -> None:
    """Write one request per item, which names the entities that the request has."""
    with LogWriter(logs) as writer:
        for index, entities in enumerate(sent):
            known = entities is not None
            writer.offer(
                score_batch(
                    1,
                    first=index,
                    sent_entities=[entities] if known else None,
                    sent_features=[()] if known else None,
                )
            )


def test_logged_requests_that_would_be_refused_are_counted(tmp_path: Path) -> None:
    write_log(tmp_path, ("user",), ("user",), ("shop", "user"), ("usr",), None)

    counted = count_refused(tmp_path, "fraud", BEFORE, AFTER)

    assert (counted.requests, counted.refused, counted.unknown) == (5, 2, 1)
    assert str(counted).startswith("would refuse 2 of 5 logged requests, unknown for 1, from 2026-")


def test_a_model_without_logged_requests_is_told(tmp_path: Path) -> None:
    write_log(tmp_path, ("user",))

    counted = count_refused(tmp_path, "loan", BEFORE, AFTER)

    assert counted == Counted(0, 0, 0, None, None)
    assert str(counted) == "the log has no requests of this model"


@pytest.fixture
def registry(seeded: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Yield the address of a server with fraud@1 deployed, which commands use by default."""
    with served_registry(seeded) as target:
        monkeypatch.setenv("UNDERSTUDY_REGISTRY", target)
        monkeypatch.setenv("UNDERSTUDY_ACTOR", ACTOR)
        command("deploy", "fraud@1", *REASON)
        yield target


def test_a_contract_is_shown_and_changed_on_purpose(registry: str, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    write_log(logs, ("patient",), (), ())
    by_logs = ("--logs", str(logs))

    shown = json_of("contract", "fraud")
    released = command("contract", "fraud", "--release", "patient", *by_logs, *REASON)
    require = ("contract", "fraud", "--require", "patient", *REASON)
    previewed = command(*require, *by_logs, "--dry-run")
    refused = command(*require, *by_logs)
    forced = json_of(*require, *by_logs, "--refuse-callers")
    history = json_of("history", "fraud")

    assert shown["required_entities"] == shown["entities"] == ["patient"]
    assert (shown["unit_entity"], shown["outputs"]) == ("patient", ["label", "probabilities"])
    assert [each["name"] for each in shown["features"]] == ["f0", "f1", "f2"]
    assert "would refuse 0 of 3 logged requests" in released.stdout
    assert "would refuse 2 of 3 logged requests" in previewed.stdout
    assert refused.exit_code == REFUSED
    assert "2 of 3 logged requests" in refused.stderr
    assert "--refuse-callers" in refused.stderr
    assert forced["applied"]
    assert forced["logged_requests"]["refused"] == 2
    assert [entry["action"] for entry in history] == ["ACTION_DEPLOY", *["ACTION_CONTRACT"] * 2]
    assert len({entry["deployment"]["digest"] for entry in history}) == 1
    assert json_of("audit", "list", "--verify")["chain_intact"]


def test_a_faulty_change_of_a_contract_names_its_part(registry: str) -> None:
    unknown = command("contract", "fraud", "--require", "patint", *REASON)
    without_reason = command("contract", "fraud", "--release", "patient")
    same = command("contract", "fraud", "--require", "patient", *REASON)

    assert (unknown.exit_code, without_reason.exit_code, same.exit_code) == (USAGE, USAGE, REFUSED)
    assert "require_entities: read 'patint'; accepted: one of patient" in unknown.stderr
    assert "--reason: read nothing" in without_reason.stderr


def test_status_and_versions_show_their_part_of_requests(registry: str) -> None:
    assert "requires" in command("status").stdout
    assert "entities" in command("show", "fraud@1").stdout
    assert json_of("status")["deployments"][0]["contract"]["unit_entity"] == "patient"


def test_a_contract_edited_in_the_database_is_found_by_the_audit(
    seeded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served_registry(seeded) as target:
        monkeypatch.setenv("UNDERSTUDY_REGISTRY", target)
        command("deploy", "fraud@1", *REASON)
    with sqlite3.connect(seeded / "registry.sqlite") as database:
        database.execute("DROP TRIGGER revisions_no_update")
        database.execute(
            "UPDATE revisions SET contract_json = replace(contract_json, '\"seen_version\":2', '\"seen_version\":1')"
        )
    database.close()
    with served_registry(seeded) as target:
        monkeypatch.setenv("UNDERSTUDY_REGISTRY", target)
        audit = command("audit", "list", "--verify")

    assert audit.exit_code == 1
    assert "revision 1 of fraud" in audit.stderr
