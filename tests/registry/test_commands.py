"""The operators' commands against a registry process."""

import json
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest
import yaml

from registry.change_deployment import ChangeRequest, DeploymentChanger
from registry.cli.output import print_audit
from registry.decisions.actors import Actor
from registry.store.database import open_database
from tests.registry.commands import REASON, command, json_of, registration
from tests.registry.samples import ACTOR, record_with, trained
from understudy.control.client import RegistryClient
from understudy.control.identity import ACTOR_KEY
from understudy.domain.changes import DeployChampion
from understudy.domain.errors import CorruptedError
from understudy.provenance.dsse import AUDIT_HEAD_TYPE, IN_TOTO_TYPE, envelope_from_json
from understudy.provenance.signing_keys import SigningKeys, TrustedKeys
from understudy.registry.v1 import registry_pb2 as pb
from understudy.registry.v1 import registry_pb2_grpc
from understudy.runtime.exit_codes import CONFLICT, FAILED, OK, REFUSED, UNAVAILABLE, USAGE
from understudy.runtime.terminal.output_option import Format
from understudy.scoring.v1.scoring_pb2 import DEGRADATION_LEVEL_CONSTANT, DEGRADATION_LEVEL_FULL


def test_a_version_goes_from_registration_to_rollback(registry: str, tmp_path: Path) -> None:
    words = registration(tmp_path, trained().record)
    assert "nothing was registered" in command("check", *words).stdout
    assert "registered fraud@3" in command("register", *words, *REASON).stdout

    assert command("deploy", "fraud@1", *REASON).exit_code == OK
    assert command("shadow", "fraud", "3", "--sample", "50%", *REASON).exit_code == OK
    assert command("canary", "fraud", "fraud@2", "--weight", "250bp", *REASON).exit_code == OK
    assert command("promote", "fraud", "--expect-revision", "3", *REASON).exit_code == OK
    back = json_of("rollback", "fraud", *REASON)

    history = json_of("history", "fraud")
    assert [entry["action"] for entry in history] == [
        "ACTION_DEPLOY",
        "ACTION_SHADOW",
        "ACTION_CANARY",
        "ACTION_PROMOTE",
        "ACTION_ROLLBACK",
    ]
    assert back["after"]["revision"] == 5
    assert back["after"]["digest"] == history[2]["deployment"]["digest"]
    assert back["after"]["challengers"] == [{"version": 2, "weight_bp": 250}]
    assert [(s["version"], s["sample_bp"]) for s in back["after"]["shadows"]] == [(3, 5000)]


def test_every_command_prints_a_table_and_json(registry: str) -> None:
    command("deploy", "fraud@1", *REASON)

    for words in (
        ("list",),
        ("show", "fraud@1"),
        ("history", "fraud"),
        ("status",),
        ("audit", "list"),
    ):
        table = command(*words)
        assert table.exit_code == OK, table.stderr
        assert "fraud" in table.stdout or words[0] == "history"
        assert json_of(*words)
    assert json_of("show", "fraud", "1")["provenance"]["people"]["author"] == ACTOR
    assert json_of("status", "fraud")["deployments"][0]["revision"] == 1
    assert json_of("audit", "list", "fraud")["entries"][-1]["reason"] == "a test"


def test_a_refused_registration_prints_every_finding(unchanged: str, tmp_path: Path) -> None:
    record = record_with("people.approver", ACTOR)
    del record["policy"]["licence"]

    refused = command("register", *registration(tmp_path, record), *REASON)

    assert refused.exit_code == REFUSED
    for words in ("2 findings", "people.approver", "policy.licence", "a person other than"):
        assert words in refused.stdout
    assert len(json_of("list")) == 2


def test_a_score_output_of_several_columns_is_registered_with_its_column_only(
    unchanged: str, tmp_path: Path
) -> None:
    *given, score_output = registration(tmp_path, record_with("people.author", ACTOR))
    assert score_output == "probabilities:1"

    refused = command("check", *given, "probabilities", "--output", "json")
    accepted = command("check", *given, score_output, "--output", "json")

    findings = json.loads(refused.stdout)["report"]["findings"]
    assert [each["field"] for each in findings] == ["score_output"]
    assert (refused.exit_code, accepted.exit_code) == (REFUSED, OK), accepted.stdout


def test_a_dry_run_prints_and_changes_nothing(unchanged: str, tmp_path: Path) -> None:
    words = registration(tmp_path, trained().record)

    assert command("register", *words, *REASON, "--dry-run").exit_code == OK
    assert "would be revision 1" in command("deploy", "fraud@1", *REASON, "--dry-run").stdout

    assert len(json_of("list")) == 2
    assert json_of("status")["deployments"] == []


@pytest.mark.parametrize(
    ("words", "exit_code", "says"),
    [
        (("deploy", "fraud@9", *REASON), USAGE, "version fraud@9 does not exist"),
        (("deploy", "fraud", *REASON), USAGE, "MODEL@NUMBER"),
        (("deploy", "fraud@1", "--reason", " "), USAGE, "reason: read"),
        (
            ("deploy", "fraud@1", "--expect-revision", "4", *REASON),
            CONFLICT,
            "at revision 0, not 4",
        ),
        (("canary", "fraud@2", "--weight", "10", *REASON), USAGE, "10000bp"),
        (("promote", "fraud", *REASON), REFUSED, "not deployed"),
        (("rollback", "FRAUD", *REASON), USAGE, "model"),
        (("history", "absent"), USAGE, "does not exist"),
        (("status", "absent"), USAGE, "model absent does not exist"),
        (("list", "absent"), USAGE, "model absent does not exist"),
        (("show", "fraud@9"), USAGE, "does not exist"),
    ],
)
def test_an_expected_failure_is_one_line(
    unchanged: str, words: tuple[str, ...], exit_code: int, says: str
) -> None:
    result = command(*words)

    assert (result.exit_code, result.stdout) == (exit_code, "")
    assert says in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_registry_that_is_away_is_reported() -> None:
    result = command("list", "--registry", "127.0.0.1:1")

    assert result.exit_code == UNAVAILABLE
    assert result.stderr.startswith("understudy: registry 127.0.0.1:1 is unavailable")


@pytest.mark.parametrize("missing", ["--provenance", "--views", "--artifact"])
def test_a_missing_file_is_reported(unchanged: str, tmp_path: Path, missing: str) -> None:
    words = list(registration(tmp_path, trained().record))
    words[words.index(missing) + 1] = str(tmp_path / "missing")

    result = command("check", *words)

    assert result.exit_code == USAGE
    assert "missing" in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("deploy", "fraud@1"),  # without its reason
        ("deploy", "fraud@1", *REASON, "--nothing"),
        ("rollback", "fraud", *REASON, "--to-revision", "0"),
        ("rollback", "fraud", *REASON, "--to-revision", "x"),
        ("status", "--output", "xml"),
        ("provenance", "init", "--nothing"),
        ("nothing",),
    ],
)
def test_usage_errors_are_distinct_from_refusals(words: tuple[str, ...]) -> None:
    assert command(*words).exit_code == USAGE


def test_a_share_of_nothing_ends_a_shadow_and_a_challenger(registry: str) -> None:
    for words in (
        ("deploy", "fraud@1"),
        ("shadow", "fraud@2"),
        ("shadow", "fraud@2", "--sample", "0%"),
    ):
        assert command(*words, *REASON).exit_code == OK
    for weight in ("10%", "0bp"):
        assert command("canary", "fraud@2", "--weight", weight, *REASON).exit_code == OK

    history = json_of("history", "fraud")
    assert [entry["action"] for entry in history[2::2]] == [
        "ACTION_REMOVE_SHADOW",
        "ACTION_REMOVE_CANARY",
    ]
    assert history[-1]["deployment"]["digest"] == history[0]["deployment"]["digest"]


def test_an_undeploy_is_shown_and_a_rollback_begins_the_deployment_again(registry: str) -> None:
    command("deploy", "fraud@1", *REASON)

    planned = command("undeploy", "fraud", *REASON, "--dry-run")
    made = command("undeploy", "fraud", *REASON)
    back = command("rollback", "fraud", *REASON)

    assert "fraud: revision 1 -> would be not deployed (revision 2)" in planned.stdout
    assert "fraud: revision 1 -> not deployed (revision 2)" in made.stdout
    assert "fraud: not deployed -> revision 3" in back.stdout
    assert command("undeploy", "other", *REASON).exit_code == USAGE


def test_a_block_reports_its_effect_and_refuses_the_way_back(registry: str) -> None:
    command("deploy", "fraud@1", "--fallback-score", "keep", *REASON)
    command("deploy", "fraud@2", *REASON)

    planned = command("block", "fraud@1", *REASON, "--dry-run")
    made = command("block", "fraud@1", *REASON)
    refused = command("rollback", "fraud", *REASON)
    last = command("block", "fraud@2", *REASON)
    shown = json_of("status")["deployments"][0]["blocked"]
    lifted = command("unblock", "fraud", "1", *REASON)

    assert "fraud@1 would be blocked; declared as: standby" in planned.stdout
    assert "fraud@1 is blocked; declared as: standby" in made.stdout
    assert shown == [1]
    assert (refused.exit_code, last.exit_code) == (2, 2)
    assert "fraud@1 is blocked: " in refused.stderr
    assert "allow errors explicitly" in last.stderr
    assert "fraud@1 is no longer blocked" in lifted.stdout
    assert command("audit", "list", "fraud").exit_code == 0


def test_an_auditor_verifies_an_export_with_heads_and_keys(registry: str, tmp_path: Path) -> None:
    export, key, heads = tmp_path / "export", tmp_path / "key", tmp_path / "heads"
    assert command("audit", "new-key", str(key)).exit_code == 0
    keys = SigningKeys.read(key.read_text(), "key")
    document = command("audit", "head").stdout.strip()
    heads.write_text(keys.signed(AUDIT_HEAD_TYPE, document.encode()).json_line)
    kept = ("--head", str(heads), "--trusted-key", f"{key}.pub")

    exported = command("audit", "export", str(export))
    offline = command("audit", "verify", "--export", str(export), *kept)
    online = json_of("audit", "verify", *kept)
    version = command("verify", "fraud@1")
    export.write_text("".join(export.read_text().splitlines(keepends=True)[:-1]))
    cut = command("audit", "verify", "--export", str(export), *kept)

    assert (key.stat().st_mode & 0o777, exported.exit_code, offline.exit_code) == (0o600, 0, 0)
    assert online["faults"] == []
    assert (online["audit_rows"], online["versions"]) == (2, 2)
    assert version.exit_code == 0
    assert "2 rows of the log" in version.stdout
    assert cut.exit_code == FAILED
    assert "missing" in cut.stderr


def test_an_exported_statement_is_signed_on_request(registry: str, tmp_path: Path) -> None:
    key = tmp_path / "key"
    command("audit", "new-key", str(key))
    trusted = TrustedKeys.read(Path(f"{key}.pub").read_text(), "key")

    plain = json_of("export", "fraud@1")
    signed = command("export", "fraud@1", "--signing-key", str(key)).stdout

    payload = trusted.payload_of(envelope_from_json(signed), IN_TOTO_TYPE)
    assert json.loads(payload) == plain
    assert (
        command("export", "fraud@1", "--format", "cyclonedx", "--signing-key", str(key)).exit_code
        == USAGE
    )


def test_a_head_without_a_key_is_refused(registry: str, tmp_path: Path) -> None:
    refused = command("audit", "verify", "--head", str(tmp_path))

    assert refused.exit_code == USAGE
    assert "--trusted-key" in refused.stderr


def test_a_file_without_a_head_proves_nothing(tmp_path: Path) -> None:
    key, empty = tmp_path / "key", tmp_path / "heads"
    command("audit", "new-key", str(key))
    empty.touch()

    refused = command("audit", "verify", "--head", str(empty), "--trusted-key", f"{key}.pub")

    assert refused.exit_code == USAGE
    assert "--head: read 'no line" in refused.stderr


def test_a_restore_reports_its_lineage_and_number(registry: str) -> None:
    command("deploy", "fraud@1", *REASON)
    lineage = json_of("status")["lineage"]
    words = ("restore", "--successor-of", "lost", "--ends", "churn", *REASON)

    planned = command(*words, "--dry-run")
    made = json_of(*words)

    assert f"registry {lineage} would succeed lost under a new lineage" in planned.stdout
    assert "revision 2000: fraud; churn ends" in planned.stdout
    assert (made["revision"], made["applied"], made["ends"]) == (2000, True, ["churn"])
    assert json_of("status")["lineage"] == made["lineage"] != lineage
    assert command("restore", "--successor-of", "", *REASON).exit_code == USAGE


def test_the_status_shows_watchers_that_refuse_the_registry(registry: str) -> None:
    refusal = pb.SnapshotRefusal(
        reason=pb.REFUSAL_REASON_ANOTHER_LINEAGE, lineage="lost", why="it is empty"
    )
    with grpc.insecure_channel(registry) as channel:
        registry_pb2_grpc.RegistryServiceStub(channel).ReportScorers(
            pb.ReportScorersRequest(host_id="h-1", belief=pb.WatcherBelief(refusal=refusal))
        )

    shown = command("status").stdout

    assert "h-1 refuses the state of registry lost: it is empty" in shown


def test_the_status_names_the_registry_and_its_state(unchanged: str) -> None:
    told = json_of("status")

    assert f"registry {told['lineage']}, state {told['sequence']}" in command("status").stdout


@pytest.mark.parametrize("option", ["--dry-run", "--reason=it"])
def test_a_rollback_that_keeps_the_champion_reports_it(registry: str, option: str) -> None:
    for words in (("deploy", "fraud@1"), ("deploy", "fraud@2"), ("shadow", "fraud@1")):
        command(*words, *REASON)

    back = command("rollback", "fraud", *REASON, option)

    assert back.exit_code == OK
    assert "champion unchanged (@2); rolled back: shadows" in back.stdout


def test_a_rollback_that_changes_the_champion_does_not_report_it_unchanged(registry: str) -> None:
    command("deploy", "fraud@1", *REASON)
    command("deploy", "fraud@2", *REASON)

    assert "unchanged" not in command("shadow", "fraud@1", *REASON).stdout
    back = command("rollback", "fraud", "--to-revision", "1", *REASON)
    assert "unchanged" not in back.stdout
    again = command("rollback", "fraud", *REASON)
    assert again.exit_code == REFUSED
    assert "--to-revision: 3 (champion @2), 2 (champion @2)" in again.stderr


def test_the_targets_of_a_rollback_are_listed_with_their_readiness(
    registry: str, seeded: Path
) -> None:
    command("deploy", "fraud@1", *REASON)
    command("deploy", "fraud@2", "--reason", "a better one")
    ready = json_of("rollback", "fraud", "--list")
    (next((seeded / "artifacts" / "sha256").rglob("*/*"))).unlink()

    listed = command("rollback", "fraud", "--list").stdout
    refused = command("rollback", "fraud", *REASON)

    assert [(each["is_default"], each["faults"]) for each in ready] == [(True, [])]
    assert "1 (default)" in listed
    assert "NO: fraud@1" in listed
    assert (refused.exit_code, refused.stdout) == (REFUSED, "")
    assert "is missing from the artifact store" in refused.stderr
    assert json_of("status")["deployments"][0]["revision"] == 2


@pytest.mark.parametrize(
    "words", [(), ("--list", "--to-revision", "1"), ("--list", "--expect-revision", "1")]
)
def test_a_rollback_has_a_reason_or_only_lists(words: tuple[str, ...]) -> None:
    assert command("rollback", "fraud", *words).exit_code == USAGE


@pytest.mark.parametrize("details", ["", "{", "[1]", '"L3"', '{"level": {"a": 1}, "b": null}'])
def test_forged_details_are_shown(details: str, capsys: pytest.CaptureFixture[str]) -> None:
    entry = pb.AuditEntry(sequence=1, action=pb.ACTION_DRILL, details_json=details, reason="forged")

    print_audit(pb.ListAuditResponse(entries=[entry]), Format.TABLE)

    shown = capsys.readouterr().out
    assert "forged" in shown
    assert ("level {'a': 1}" if "level" in details else details) in shown


def test_the_audit_distinguishes_the_start_of_a_drill_from_its_end(registry: str) -> None:
    command("deploy", "fraud@1", *REASON)
    with grpc.insecure_channel(registry) as channel:
        stub = registry_pb2_grpc.RegistryServiceStub(channel)
        for level, duration_s in (
            (DEGRADATION_LEVEL_CONSTANT, 30.0),
            (DEGRADATION_LEVEL_FULL, 0.0),
        ):
            stub.RecordDrill(
                pb.RecordDrillRequest(
                    router="host:/r", level=level, duration_s=duration_s, reason="an exercise"
                ),
                metadata=((ACTOR_KEY, ACTOR),),
            )

    shown = " ".join(command("audit", "list", "fraud").stdout.replace("\u2502", " ").split())

    deployed = json_of("history", "fraud")[0]["deployment"]["digest"]
    assert "level L3" in shown
    assert "level L0" in shown
    assert "duration_s 30" in shown
    assert "host:/r" in shown
    assert f"to_digest {deployed[:12]}" in shown
    assert deployed not in shown


def test_a_corrupted_file_is_reported_to_its_reader(registry: str, seeded: Path) -> None:
    with RegistryClient(registry) as client:
        digest = client.get_version("fraud", 1).files[0].sha256
        stored = seeded / "artifacts" / "sha256" / digest[:2] / digest
        stored.chmod(0o644)
        stored.write_bytes(b"other")

        with pytest.raises(CorruptedError):
            b"".join(client.fetch_file(digest))


def test_a_model_is_placed_on_hosts_with_labels_and_set_free(registry: str) -> None:
    command("deploy", "fraud@1", *REASON)

    placed = json_of("place", "fraud", "--labels", "zone=eu, gpu", *REASON)["after"]
    shown = command("status", "fraud", "--output", "yaml").stdout
    free = json_of("place", "fraud", "--anywhere", *REASON)["after"]

    assert placed["host_labels"] == ["gpu", "zone=eu"]
    assert yaml.safe_load(shown)["host_labels"] == ["gpu", "zone=eu"]
    assert free["host_labels"] == []
    for words in ((), ("--labels", "gpu", "--anywhere"), ("--labels", " ")):
        assert command("place", "fraud", *words, *REASON).exit_code == USAGE


def test_policies_are_set_and_cleared(registry: str, tmp_path: Path) -> None:
    command("deploy", "fraud@1", *REASON)
    rule = {
        "name": "vip",
        "feature": "patient@1:f0",
        "operator": ">",
        "value": 1,
        "action": "accept",
        "score": 0,
    }
    rules = tmp_path / "rules.yaml"
    rules.write_text(yaml.safe_dump([rule]))

    words = ("--version", "2", "--last-score-max-age-s", "60", "--constant-score", "0.25")
    ladder = json_of("fallback", "fraud", *words, *REASON)["after"]["fallback"]
    decided = json_of("threshold", "fraud", "--value", "0.4", *REASON)["after"]
    ruled = json_of("rules", "fraud", "--file", str(rules), *REASON)["after"]
    cleared = json_of("fallback", "fraud", *REASON)["after"]["fallback"]

    assert ladder == {"version": 2, "last_score_max_age_s": 60, "constant_score": 0.25}
    assert decided["decision_threshold"] == 0.4
    assert ruled["rules"] == [{**rule, "operator": "RULE_OPERATOR_GREATER", "request_dtype": None}]
    assert cleared == dict.fromkeys(ladder)
    assert "vip" in command("threshold", "fraud", *REASON).stdout, "tables show rules"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{}", "understudy: rules: read {}; accepted: a valid tuple"),
        ("- name: vip", "understudy: rules[0].feature: read nothing; accepted: a value"),
        ("[", "understudy: --file: read "),
        ("- {name: a, operator: '~'}", "understudy: rules[0].operator: read '~'; accepted: '>'"),
    ],
)
def test_unreadable_rules_are_told(unchanged: str, tmp_path: Path, text: str, fault: str) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(text)

    result = command("rules", "fraud", "--file", str(file), *REASON)

    assert result.exit_code == USAGE
    assert any(line.startswith(fault) for line in result.stderr.splitlines()), result.stderr


def test_text_cannot_control_the_terminal(registry: str, seeded: Path) -> None:
    hostile = "why [red]not[/red] \x1b[2J\x07"

    refused = command("deploy", "fraud@1", "--reason", hostile)
    assert refused.exit_code == USAGE
    assert "printable" in refused.stderr

    # An earlier registry accepted such a reason.
    engine = open_database(seeded / "registry.sqlite")
    change = ChangeRequest("fraud", DeployChampion(1), hostile, Actor(ACTOR), None, dry_run=False)
    DeploymentChanger(engine, lambda: datetime.now(UTC)).change(change)
    engine.dispose()

    shown = command("history", "fraud").stdout
    assert "why [red]not[/red]" in shown
    assert "\x1b" not in shown
    assert json_of("history", "fraud")[0]["reason"] == hostile
