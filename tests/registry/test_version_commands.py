"""Registered versions: judged once more, compared, and copied."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.decisions.version_difference import NOTHING, differences
from registry.store.database import open_database, reading
from registry.store.revisions import champions_before
from tests.registry.commands import REASON, command, json_of
from tests.registry.samples import trained
from understudy.runtime.exit_codes import OK, REFUSED, USAGE

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner),
    max_leaves=12,
)
GROUPS = st.dictionaries(st.sampled_from(["code", "data", "run"]), JSON)


def test_a_registered_version_is_judged_once_more(unchanged: str) -> None:
    result = command("check", "fraud@1")
    report = json_of("check", "fraud", "2")["report"]

    assert result.exit_code == OK
    assert "finds nothing against the registered version" in result.stdout
    assert "the received bytes" in result.stdout
    assert report["complete"]
    assert "artifact.files[].sha256" in {each["field"] for each in report["evidence"]}


def test_a_first_version_stays_one_after_it_became_champion(registry: str) -> None:
    command("deploy", "fraud@1", *REASON)

    assert json_of("check", "fraud@1")["report"]["complete"]
    assert json_of("check", "fraud@2")["report"]["complete"]


def test_only_champions_before_the_registration_count(registry: str, seeded: Path) -> None:
    command("deploy", "fraud@1", *REASON)
    engine = open_database(seeded / "registry.sqlite")
    with reading(engine) as connection:
        before = champions_before(connection, "fraud", 0)
        now = champions_before(connection, "fraud", 1 << 62)
    engine.dispose()

    assert (before, now) == (frozenset(), frozenset({1}))


@pytest.mark.fault
def test_bytes_that_changed_are_a_finding_and_no_longer_verified(
    registry: str, seeded: Path
) -> None:
    damage(seeded)

    result = command("check", "fraud@1", "--output", "json")
    report = json.loads(result.stdout)["report"]

    assert result.exit_code == REFUSED
    assert any(f["field"] == "artifact.files" for f in report["findings"])
    for row in report["evidence"]:
        if row["field"].startswith(("artifact.files", "artifact.golden")):
            assert row["evidence"] == "EVIDENCE_CLAIMED"


def test_a_check_is_of_files_or_of_a_registered_version(unchanged: str) -> None:
    both = command("check", "fraud@1", "--score-output", "label")
    neither = command("check", "fraud")

    assert (both.exit_code, neither.exit_code) == (USAGE, USAGE)
    assert "one of both" in both.stderr
    assert "MODEL@NUMBER, or --artifact" in neither.stderr


def test_a_difference_is_listed_by_group(unchanged: str) -> None:
    document = json_of("diff", "fraud@1", "2")
    found = document["differences"]
    table = command("diff", "fraud@1", "fraud@2").stdout
    same = command("diff", "fraud@1", "1").stdout

    assert {
        "group": "people",
        "field": "contact",
        "one": "first@lab",
        "other": "second@lab",
    } in found
    assert {each["group"] for each in found} == {"version", "people"}
    assert (document["one"], document["other"]) == ("fraud@1", "fraud@2")
    assert "second@lab" in table
    assert "fraud@1 and fraud@1 have the same content" in same


@given(GROUPS, GROUPS)
def test_two_contents_differ_if_and_only_if_a_field_does(one: Any, other: Any) -> None:
    found = [*differences(one, other)]

    assert bool(found) is (json.dumps(one, sort_keys=True) != json.dumps(other, sort_keys=True))
    assert [*differences(one, one)] == []
    mirrored = [(each.group, each.field, each.other, each.one) for each in differences(other, one)]
    assert sorted(map(repr, mirrored)) == sorted(
        repr((each.group, each.field, each.one, each.other)) for each in found
    )


def test_a_field_that_one_version_lacks_is_named_absent() -> None:
    (found,) = differences({"run": {"id": "7"}}, {"run": {"id": "7", "builder": "ci"}})

    assert (found.field, found.one, found.other) == ("builder", NOTHING, "ci")


def test_an_artifact_is_copied_with_its_record(unchanged: str, tmp_path: Path) -> None:
    to = tmp_path / "copy"

    done = json_of("download", "fraud@1", "--to", str(to))
    again = command("download", "fraud@1", "--to", str(to))

    shown = json_of("show", "fraud@1")
    for file in shown["files"]:
        content = (to / "artifact" / file["path"]).read_bytes()
        assert sha256(content).hexdigest() == file["sha256"]
    assert json.loads((to / "provenance.json").read_text())["people"]["contact"] == "first@lab"
    assert done["files"] == len(shown["files"]) == len([*trained().artifact_dir.iterdir()])
    assert again.exit_code == USAGE
    assert [*tmp_path.iterdir()] == [to]


@pytest.mark.fault
def test_damaged_bytes_are_not_copied(registry: str, seeded: Path, tmp_path: Path) -> None:
    damage(seeded)

    result = command("download", "fraud@1", "--to", str(tmp_path / "copy"))

    assert result.exit_code != OK
    assert not (tmp_path / "copy").exists()
    assert not [*tmp_path.glob(".copy-*")]


def damage(directory: Path) -> None:
    """Exchange the bytes of one stored file."""
    file = max(
        (directory / "artifacts" / "sha256").glob("*/*"), key=lambda each: each.stat().st_size
    )
    file.chmod(0o600)
    file.write_bytes(b"other bytes")
