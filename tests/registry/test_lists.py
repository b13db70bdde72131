"""Pages of lists: complete, without gaps or repeats, and read by themselves."""

from pathlib import Path
from typing import Any

import grpc
import pytest

from registry.store import audit_log, revisions
from registry.store.database import open_database, reading
from tests.registry.commands import REASON, command, json_of
from tests.registry.operator import Operator, failure_of
from tests.registry.samples import ACTOR
from tests.registry.test_cost_of_a_change import add_history, counted, deployed
from understudy.control.identity import ACTOR_KEY
from understudy.domain.changes import DeployChampion, SetThreshold
from understudy.domain.errors import InvalidInputError
from understudy.domain.versions import VersionRef
from understudy.registry.v1 import registry_pb2 as pb


async def test_pages_of_revisions_and_rows_make_up_the_whole(deployer: Operator) -> None:
    await deployer.change(DeployChampion(1))
    for number in range(6):
        await deployer.change(SetThreshold(number / 10))

    revisions_read: list[int] = []
    rows_read: list[int] = []
    before, row = None, None
    while True:
        page = await deployer.stub.ListRevisions(
            pb.ListRevisionsRequest(model="fraud", limit=3, before=before)
        )
        rows = await deployer.stub.ListAudit(
            pb.ListAuditRequest(model="fraud", limit=3, before=row, unverified=True)
        )
        revisions_read = [*(e.deployment.revision for e in page.revisions), *revisions_read]
        rows_read = [*(e.sequence for e in rows.entries), *rows_read]
        assert not rows.HasField("chain_intact")
        if not page.has_more:
            break
        before, row = page.revisions[0].deployment.revision, rows.entries[0].sequence

    assert revisions_read == list(range(1, 8))
    assert rows_read == list(range(1, 10))  # two registrations, seven changes
    assert not rows.has_more


async def test_pages_of_versions_make_up_the_whole(deployer: Operator) -> None:
    first = await deployer.stub.ListVersions(pb.ListVersionsRequest(limit=1))
    after = pb.VersionRef(model="fraud", number=1)
    second = await deployer.stub.ListVersions(pb.ListVersionsRequest(limit=1, after=after))
    end = pb.VersionRef(model="fraud", number=2)
    none = await deployer.stub.ListVersions(pb.ListVersionsRequest(model="fraud", after=end))

    assert [each.ref.number for each in (*first.versions, *second.versions)] == [1, 2]
    assert (first.has_more, second.has_more, none.has_more) == (True, False, False)
    assert not none.versions


AS_ACTOR = ((ACTOR_KEY, ACTOR),)
BAD_NAMES = ["", "\0", "Fraud", "fraud@1", "n" * 64]
# By field: the values that are accepted at the ends of its range, and some beyond them.
RANGES: dict[str, tuple[list[Any], list[Any]]] = {
    "limit": ([1], [0, 1_001, 2**32 - 1]),
    "before": ([1, 2**63 - 1], [0, 2**63, 2**64 - 1]),
    "after.number": ([1, 2**32 - 1], [0]),
    "after.model": (["fraud"], BAD_NAMES),
    "model": (["fraud"], BAD_NAMES),
    "until.seconds": ([0, 253_402_300_799], [-(2**63), -1, 253_402_300_800, 2**63 - 1]),
    "until.nanos": ([0, 999_999_999], [-(2**31), -1, 1_000_000_000, 2**31 - 1]),
}
LISTS: dict[str, tuple[Any, list[str]]] = {
    "ListVersions": (pb.ListVersionsRequest, ["model", "limit", "after.number", "after.model"]),
    "ListRevisions": (
        pb.ListRevisionsRequest,
        ["model", "limit", "before", "until.seconds", "until.nanos"],
    ),
    "ListAudit": (pb.ListAuditRequest, ["model", "limit", "before"]),
    "ListRefusals": (pb.ListRefusalsRequest, ["limit", "before"]),
    "ListTags": (pb.ListTagsRequest, ["model"]),
}


def asked(rpc: str, values: dict[str, Any]) -> Any:
    request: Any = LISTS[rpc][0]()
    if "model" in request.DESCRIPTOR.fields_by_name:
        request.model = "fraud"
    if any(path.startswith("after.") for path in values):
        request.after.CopyFrom(pb.VersionRef(model="fraud", number=1))
    for path, value in values.items():
        *outer, field = path.split(".")
        setattr(getattr(request, outer[0]) if outer else request, field, value)
    return request


async def test_the_ends_of_the_range_of_every_field_of_a_page_are_accepted(
    deployer: Operator,
) -> None:
    await deployer.change(DeployChampion(1))

    for rpc, (_, fields) in LISTS.items():
        for field in fields:
            for value in RANGES[field][0]:
                await getattr(deployer.stub, rpc)(asked(rpc, {field: value}))


async def test_a_page_out_of_range_is_refused_with_each_of_its_fields(deployer: Operator) -> None:
    await deployer.change(DeployChampion(1))

    for rpc, (_, fields) in LISTS.items():
        alone = [{field: value} for field in fields for value in RANGES[field][1]]
        for values in (*alone, {field: RANGES[field][1][-1] for field in fields}):
            refused = await failure_of(getattr(deployer.stub, rpc)(asked(rpc, values)))
            assert refused.code() is grpc.StatusCode.INVALID_ARGUMENT, (rpc, values)
            assert all(f"{field}: read" in str(refused.details()) for field in values), (
                rpc,
                values,
            )


def test_every_field_of_every_list_has_a_range() -> None:
    lists = {name for name in _rpcs() if name.startswith("List")} - {"ListRollbackTargets"}
    assert lists == set(LISTS)
    for request, fields in LISTS.values():
        named = {field.split(".")[0] for field in fields}
        assert named | {"unverified"} >= set(request.DESCRIPTOR.fields_by_name)


async def test_a_name_that_no_model_can_have_is_invalid_and_not_merely_unknown(
    deployer: Operator,
) -> None:
    read: list[str] = []
    for rpc in pb.DESCRIPTOR.services_by_name["RegistryService"].methods:
        fields = rpc.input_type.fields_by_name
        if rpc.client_streaming or not {"model", "ref"}.intersection(fields):
            continue
        for name in BAD_NAMES:
            named = {"model": name} if "model" in fields else {"ref": {"model": name, "number": 0}}
            more = {"reason": "a test"} if "reason" in fields else {}
            change = {"undeploy": pb.Undeploy()} if "undeploy" in fields else {}
            request = getattr(pb, rpc.input_type.name)(**named, **more, **change)
            call = getattr(deployer.stub, rpc.name)(request, metadata=AS_ACTOR)
            refused = await failure_of(call)
            assert refused.code() is grpc.StatusCode.INVALID_ARGUMENT, (rpc.name, name)
            assert "model: read" in str(refused.details()), (rpc.name, name)
            assert ("ref" in fields) is ("ref.number: read 0" in str(refused.details()))
        read.append(rpc.name)

    assert {"GetVersion", "GetDeployment", "ListRevisions", "VerifyRegistry"} <= {*read}


@pytest.mark.parametrize("revision", [0, 2**63, 2**64 - 1])
async def test_a_revision_out_of_range_is_refused(deployer: Operator, revision: int) -> None:
    request = pb.GetDeploymentRequest(model="fraud", revision=revision)
    refused = await failure_of(deployer.stub.GetDeployment(request))

    assert refused.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert f"revision: read {revision}" in str(refused.details())


def _rpcs() -> list[str]:
    return list(pb.DESCRIPTOR.services_by_name["RegistryService"].methods_by_name)


@pytest.mark.parametrize("number", [str(2**32), "9" * 5_000, "0"])
def test_a_number_of_a_version_that_no_message_carries_is_refused(number: str) -> None:
    with pytest.raises(InvalidInputError, match="--after"):
        VersionRef.parse(f"fraud@{number}", "--after")


async def test_a_page_costs_the_same_after_a_long_history(seeded: Path) -> None:
    await deployed(seeded)

    def steps() -> int:
        engine = open_database(seeded / "registry.sqlite")
        with counted(engine) as work, reading(engine) as connection:
            assert len(revisions.page_of(connection, "fraud", before=None, limit=20)) == 20
            assert len(audit_log.page_of(connection, "fraud", before=None, limit=20)) == 20
        engine.dispose()
        return work.steps

    add_history(seeded, 60)
    few = steps()
    add_history(seeded, 20_000)

    assert steps() <= 1.2 * few


def test_commands_list_pages_and_say_how_to_go_on(registry: str) -> None:
    command("deploy", "fraud@1", *REASON)
    command("threshold", "fraud", "--value", "0.7", *REASON)

    history = command("history", "fraud", "--limit", "1")
    older = json_of("history", "fraud", "--before", "2")
    versions = command("list", "--limit", "1")
    rows = command("audit", "list", "fraud", "--limit", "2")

    assert "there are more: --before 2" in history.stderr
    assert [each["deployment"]["revision"] for each in older] == [1]
    assert "there are more: --after fraud@1" in versions.stderr
    assert len(json_of("list", "--after", "fraud@1")) == 1
    assert "there are more: --before 3" in rows.stderr
    assert "not verified" in rows.stderr
