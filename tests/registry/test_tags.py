"""Tags name versions for people: unique in a model, moved on purpose, audited, without effect."""

import json
from pathlib import Path

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.decisions.tagging import MOST_TAGS, check_may_tag, checked_tag
from tests.registry.commands import REASON, command, json_of
from tests.registry.operator import Operator, failure_of
from understudy.domain.changes import DeployChampion
from understudy.domain.errors import InvalidInputError, RefusedError
from understudy.domain.versions import VersionRef
from understudy.registry.v1 import registry_pb2 as pb
from understudy.runtime.exit_codes import OK, REFUSED, USAGE

Status = grpc.StatusCode


async def tags_of(operator: Operator) -> dict[str, int]:
    found = await operator.stub.ListTags(pb.ListTagsRequest(model="fraud"))
    return {each.name: each.ref.number for each in found.tags}


async def test_a_tag_is_moved_only_on_purpose_and_changes_no_traffic(deployer: Operator) -> None:
    await deployer.change(DeployChampion(1))
    before = await deployer.seen(lambda _: True)

    first = await deployer.set_tag("good", 1)
    again = await failure_of(deployer.set_tag("good", 1))
    taken = await failure_of(deployer.set_tag("good", 2))
    planned = await deployer.set_tag("good", 2, move=True, dry_run=True)
    at_first = await tags_of(deployer)
    moved = await deployer.set_tag("good", 2, move=True)

    assert (first.applied, first.HasField("before"), at_first) == (True, False, {"good": 1})
    assert again.code() is taken.code() is Status.FAILED_PRECONDITION
    assert "fraud@1 has the tag good; to move it, say so (--move)" in str(taken.details())
    assert (planned.applied, planned.before) == (False, 1)
    assert (moved.applied, moved.before, await tags_of(deployer)) == (True, 1, {"good": 2})
    removed = await deployer.set_tag("good", None)
    absent = await failure_of(deployer.set_tag("good", None))
    assert (removed.before, absent.code()) == (2, Status.NOT_FOUND)
    audit = await deployer.audit()
    assert audit.chain_intact, audit.faults
    assert [e.action for e in audit.entries[-3:]] == [pb.ACTION_TAG, pb.ACTION_TAG, pb.ACTION_UNTAG]
    after = await deployer.seen(lambda _: True)
    assert after.deployments == before.deployments


async def test_a_tagged_version_is_not_collected(deployer: Operator) -> None:
    await deployer.set_tag("good", 2)

    plan = await deployer.collect(dry_run=True)

    assert [each.number for each in plan.versions] == [1]
    assert [(each.ref.number, each.why) for each in plan.kept] == [(2, "has the tag good")]


async def test_no_tag_is_given_to_a_version_that_is_not_there(deployer: Operator) -> None:
    assert (await failure_of(deployer.set_tag("good", 9))).code() is Status.NOT_FOUND
    for name in ("champion", "7", "Good", "", "a b"):
        assert (await failure_of(deployer.set_tag(name, 1))).code() is Status.INVALID_ARGUMENT


def test_commands_take_a_tag_for_a_number_and_show_it(registry: str, tmp_path: Path) -> None:
    assert registry
    tagged = command("tag", "fraud@2", "good", *REASON)
    shown = command("show", "fraud@good", "--output", "json")
    as_two = command("show", "fraud", "good")
    planned = command("deploy", "fraud@good", "--dry-run", *REASON)
    compared = command("diff", "fraud@1", "good")
    unknown = command("show", "fraud@bad")
    copied = json_of("download", "fraud@good", "--to", str(tmp_path / "copy"))
    lost = command("untag", "fraud", "good", *REASON)

    assert tagged.stdout == "fraud@2 has the tag good; no traffic changes\n"
    assert (shown.exit_code, as_two.exit_code, shown.stderr) == (OK, OK, "")
    assert json.loads(shown.stdout)["resolved_tags"] == {"fraud@good": "fraud@2"}
    assert '"number": 2' in shown.stdout
    assert (planned.exit_code, "fraud@good is fraud@2" in planned.stderr) == (OK, True)
    assert "fraud@2" in compared.stdout
    assert unknown.exit_code == USAGE
    assert "bad of fraud" in unknown.stderr
    assert copied["files"]
    assert copied["resolved_tags"] == {"fraud@good": "fraud@2"}
    assert lost.stdout == "fraud@2 has lost the tag good; no traffic changes\n"
    assert command("untag", "fraud", "good", *REASON).exit_code == USAGE
    assert command("tag", "fraud@2", "champion", *REASON).exit_code == USAGE
    assert json_of("tags", "fraud") == {"tags": []}
    assert command("retire", "fraud@nine", *REASON).exit_code != REFUSED


NAMING = {  # commands that take a version, and the words after it
    "show": (),
    "diff": ("fraud@1",),
    "download": ("--to", "{folder}"),
    "verify": (),
    "tag": ("other", *REASON, "--dry-run"),
    "deploy": (*REASON, "--dry-run"),
    "block": (*REASON, "--dry-run"),
    "retire": (*REASON, "--dry-run"),
}


def test_a_json_document_tells_the_version_of_a_tag_and_stderr_nothing(
    registry: str, tmp_path: Path
) -> None:
    assert registry
    assert command("tag", "fraud@2", "good", *REASON).exit_code == OK

    for name, more in NAMING.items():
        words = [each.format(folder=tmp_path / "copy") for each in more]
        done = command(name, "fraud@good", *words, "--output", "json")

        assert (name, done.exit_code, done.stderr) == (name, OK, "")
        assert json.loads(done.stdout)["resolved_tags"] == {"fraud@good": "fraud@2"}, name


@given(st.from_regex(r"[0-9]+", fullmatch=True))
def test_no_number_is_a_tag(number: str) -> None:
    with pytest.raises(InvalidInputError, match="a letter first"):
        checked_tag(number, "name")


def test_a_model_has_a_limited_number_of_tags() -> None:
    full = {f"t{number}": 1 for number in range(MOST_TAGS)}
    check_may_tag(VersionRef("fraud", 2), "t1", full, moves=True)

    with pytest.raises(RefusedError, match="the most that a model may have"):
        check_may_tag(VersionRef("fraud", 2), "another", full, moves=True)
