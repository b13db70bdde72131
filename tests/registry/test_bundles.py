"""A version is carried from one registry to another; what was changed on the way is refused."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from registry.decisions.version_statement import VersionStatement, statement_from_document
from tests.registry.commands import REASON, command, json_of
from tests.registry.operator import served_registry
from tests.registry.samples import ACTOR
from understudy.domain.errors import InvalidInputError
from understudy.domain.versions import VersionRef
from understudy.provenance.dsse import VERSION_TYPE
from understudy.provenance.signing_keys import SigningKeys, new_private_key
from understudy.runtime.exit_codes import FAILED, OK, REFUSED, USAGE

IMPORTER = "bob@production"
STATEMENT = VersionStatement("lineage", VersionRef("fraud", 1), "ab" * 32, ACTOR, 7)


@dataclass(frozen=True)
class Carried:
    bundle: Path
    key: Path  # the origin's private key; beside it, with .pub, the public one


@pytest.fixture(scope="module")
def exported(two_versions: Path, tmp_path_factory: pytest.TempPathFactory) -> Carried:
    """Return a bundle of fraud@1, written by a registry that signs."""
    folder = tmp_path_factory.mktemp("exported")
    key = folder / "key"
    command("audit", "new-key", str(key))
    development = Path(shutil.copytree(two_versions, folder / "development"))
    with (
        served_registry(development, signing_key=key.read_text()) as target,
        pytest.MonkeyPatch.context() as environment,
    ):
        environment.setenv("UNDERSTUDY_REGISTRY", target)
        done = command("bundle", "export", "fraud@1", "--to", str(folder / "bundle"))
    assert done.exit_code == OK, done.stderr
    return Carried(folder / "bundle", key)


@pytest.fixture
def carried(exported: Carried, tmp_path: Path) -> Carried:
    """Return a copy of the bundle, to be changed."""
    return replace(exported, bundle=Path(shutil.copytree(exported.bundle, tmp_path / "bundle")))


@pytest.fixture
def production(exported: Carried, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Yield the address of an empty registry that trusts the origin; commands use it."""
    trusted = f"{exported.key}.pub"
    with served_registry(tmp_path / "production", trusted_origins=trusted) as target:
        monkeypatch.setenv("UNDERSTUDY_REGISTRY", target)
        monkeypatch.setenv("UNDERSTUDY_ACTOR", IMPORTER)
        yield target


def test_a_version_is_carried_with_its_origin(production: str, carried: Carried) -> None:
    bundle = str(carried.bundle)

    verified = command("bundle", "verify", bundle, "--trusted-key", f"{carried.key}.pub")
    planned = json_of("bundle", "import", bundle, *REASON, "--dry-run")
    first = json_of("bundle", "import", bundle, *REASON)
    again = json_of("bundle", "import", bundle, *REASON)
    shown = json_of("show", "fraud@1")
    (row,) = json_of("audit", "list")["entries"]
    judged = json_of("check", "fraud@1")["report"]

    assert (verified.exit_code, planned["report"]["complete"]) == (OK, True)
    assert (first["version"]["registered_by"], again["already_registered"]) == (IMPORTER, True)
    assert shown["origin"]["registered_by"] == ACTOR == shown["provenance"]["people"]["author"]
    assert json.loads(row["details_json"])["origin"]["lineage"] == shown["origin"]["lineage"]
    assert json_of("audit", "verify")["faults"] == []
    assert judged["complete"]
    assert "origin" in command("show", "fraud@1").stdout
    for each in (*shown["evidence"], *first["report"]["evidence"]):
        if each["field"].startswith("evaluation.comparison"):
            assert each["evidence"] == "EVIDENCE_CLAIMED"  # another registry knows the champions


def change_record(bundle: Path) -> None:
    file = bundle / "provenance.json"
    file.write_text(file.read_text().replace("first@lab", "other@lab"))


def change_artifact(bundle: Path) -> None:
    with (bundle / "artifact" / "golden.npz").open("ab") as file:
        file.write(b"more")


def change_score(bundle: Path) -> None:
    file = bundle / "version.json"
    content = json.loads(file.read_text())
    del content["score_output"]["column"]
    file.write_text(json.dumps(content))


def change_statement(bundle: Path) -> None:
    file = bundle / "statement.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps({**content, "payload": content["payload"][:-8] + "AAAAAAAA"}))


@pytest.mark.fault
@pytest.mark.parametrize("change", [change_record, change_artifact, change_score, change_statement])
def test_a_changed_bundle_is_refused_by_auditors_and_registries(
    production: str, carried: Carried, change: Any
) -> None:
    change(carried.bundle)
    bundle = str(carried.bundle)

    verified = command("bundle", "verify", bundle, "--trusted-key", f"{carried.key}.pub")
    imported = command("bundle", "import", bundle, *REASON)

    assert verified.exit_code == FAILED
    assert imported.exit_code in {REFUSED, USAGE}
    assert json_of("list") == []


@pytest.mark.fault
def test_a_bundle_that_another_key_signed_is_refused(production: str, carried: Carried) -> None:
    other = SigningKeys.read(new_private_key(), "key")
    content = json.loads((carried.bundle / "statement.json").read_text())
    forged = replace(STATEMENT, lineage="another").document.encode()
    assert content["payloadType"] == VERSION_TYPE
    (carried.bundle / "statement.json").write_text(other.signed(VERSION_TYPE, forged).json_line)

    result = command("bundle", "import", str(carried.bundle), *REASON)

    assert result.exit_code == REFUSED
    assert "the origin is not trusted" in result.stderr


@pytest.mark.fault
def test_a_registry_without_trusted_origins_imports_nothing(
    registry: str, carried: Carried
) -> None:
    imported = command("bundle", "import", str(carried.bundle), *REASON)
    exported = command("bundle", "export", "fraud@1", "--to", str(carried.bundle.parent / "new"))

    assert (imported.exit_code, exported.exit_code) == (REFUSED, REFUSED)
    assert "REGISTRY_TRUSTED_ORIGINS" in imported.stderr
    assert "REGISTRY_SIGNING_KEY" in exported.stderr
    assert not (carried.bundle.parent / "new").exists()


def test_a_statement_reads_as_it_was_written() -> None:
    assert statement_from_document(STATEMENT.document) == STATEMENT


@pytest.mark.parametrize(
    "text", ["", "{}", STATEMENT.document.replace(ACTOR, f'{ACTOR}", "x": "y')]
)
def test_a_text_that_is_no_statement_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="statement"):
        statement_from_document(text)
