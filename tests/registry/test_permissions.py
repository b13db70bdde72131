"""Every call by every role and every kind of proof, over real gRPC; refused by default."""

from pathlib import Path
from typing import Any

import grpc
import pytest

from registry.decisions.permissions import ROLES_OF_CALL, require_permission
from registry.server.authentication import require_table_of
from tests.registry.callers import entry, proven_registry, token_of, write_identities
from understudy.domain.errors import PermissionRefusedError
from understudy.domain.identities import Identity, Role
from understudy.registry.v1 import registry_pb2 as pb
from understudy.registry.v1 import registry_pb2_grpc
from understudy.runtime.error_details import DETAILS_KEY
from understudy.scoring.v1 import scoring_pb2

SERVICE = pb.DESCRIPTOR.services_by_name["RegistryService"]
Code = grpc.StatusCode
LIMIT_S = 60.0
REFUSALS = {Code.PERMISSION_DENIED, Code.UNAUTHENTICATED}


async def status_of(channel: grpc.aio.Channel, call: str) -> grpc.StatusCode:
    """Return the status of an empty request; OK as soon as a stream has answered."""
    method = SERVICE.methods_by_name[call]
    path = f"/{SERVICE.full_name}/{call}"
    asked: Any = b""
    requests: Any = iter([b""])
    opened: Any
    if method.client_streaming:
        opened = channel.stream_unary(path)(requests, timeout=LIMIT_S)
    elif method.server_streaming:
        opened = channel.unary_stream(path)(asked, timeout=LIMIT_S)
    else:
        opened = channel.unary_unary(path)(asked, timeout=LIMIT_S)
    try:
        if method.server_streaming:
            await opened.read()
            opened.cancel()
        else:
            await opened
    except grpc.aio.AioRpcError as error:
        return error.code()
    return Code.OK


async def statuses(channel: grpc.aio.Channel) -> dict[str, grpc.StatusCode]:
    return {method.name: await status_of(channel, method.name) for method in SERVICE.methods}


@pytest.fixture
def entries() -> list[dict[str, Any]]:
    return [entry(str(role), role) for role in Role]


async def test_each_role_may_make_the_calls_of_the_table_and_no_other(
    tmp_path: Path, entries: list[dict[str, Any]]
) -> None:
    wrong: dict[str, set[str]] = {}
    async with proven_registry(tmp_path, entries) as registry:
        for role in Role:
            async with registry.open(token_of(role)) as channel:
                found = await statuses(channel)
            allowed = {call for call, status in found.items() if status not in REFUSALS}
            expected = {call for call, roles in ROLES_OF_CALL.items() if role in roles}
            # An empty report names no host, so that it is never the caller's own.
            wrong[role] = (allowed ^ expected) - ({"ReportScorers"} if role is Role.HOST else set())

    assert {role: calls for role, calls in wrong.items() if calls} == {}


@pytest.mark.parametrize(
    "proof", ["none", "unknown", "empty", "expired", "removed", "of another authority"]
)
async def test_without_a_valid_proof_no_call_is_made(
    tmp_path: Path, entries: list[dict[str, Any]], proof: str
) -> None:
    expired = entry("expired", Role.ADMIN)
    expired["tokens"][0]["expires"] = "2026-01-01T00:00:00Z"
    removed = entry("removed", Role.ADMIN)
    async with proven_registry(tmp_path, [*entries, expired, removed]) as registry:
        write_identities(registry.identities, [*entries, expired])
        if proof in {"none", "of another authority"}:
            channel = registry.open()
        else:
            channel = registry.open({"empty": " "}.get(proof, token_of(proof)))
        async with channel:
            found = await statuses(channel)

    assert set(found.values()) == {Code.UNAUTHENTICATED}


async def test_a_certificate_proves_a_name_where_callers_are_asked_for_one(
    tmp_path: Path,
) -> None:
    viewer = {"name": "vera", "roles": ["viewer"], "certificate": "vera.bank"}
    async with proven_registry(tmp_path, [viewer], asks_callers=True) as registry:
        async with registry.open(names=("x", "vera.bank")) as channel:
            known = await statuses(channel)
        async with registry.open(names=("vera.bank.example",)) as channel:
            unknown = await statuses(channel)

    assert (known["GetStatus"], known["Watch"]) == (Code.OK, Code.PERMISSION_DENIED)
    assert set(unknown.values()) == {Code.UNAUTHENTICATED}


async def test_callers_change_without_a_restart_and_a_damaged_file_changes_nothing(
    tmp_path: Path,
) -> None:
    async with proven_registry(tmp_path, [entry("ann", Role.VIEWER)]) as registry:

        async def seen(name: str) -> grpc.StatusCode:
            async with registry.open(token_of(name)) as channel:
                return await status_of(channel, "GetStatus")

        before = await seen("ann"), await seen("bob")
        write_identities(registry.identities, [entry("bob", Role.VIEWER)])
        after = await seen("ann"), await seen("bob")
        registry.identities.write_text("{")
        damaged = await seen("ann"), await seen("bob")

    assert before == (Code.OK, Code.UNAUTHENTICATED)
    assert after == damaged == (Code.UNAUTHENTICATED, Code.OK)


async def test_the_proven_name_is_recorded_and_a_claimed_one_is_not(tmp_path: Path) -> None:
    async with (
        proven_registry(tmp_path, [entry("olga", Role.ADMIN)]) as registry,
        registry.open(token_of("olga")) as channel,
    ):
        stub = registry_pb2_grpc.RegistryServiceStub(channel)
        drill = pb.RecordDrillRequest(
            router="r",
            level=scoring_pb2.DEGRADATION_LEVEL_CONSTANT,
            duration_s=60,
            reason="an exercise",
        )
        claim = (("understudy-actor", "ann@bank"),)
        await stub.RecordDrill(drill, metadata=claim, timeout=LIMIT_S)
        audit = await stub.ListAudit(pb.ListAuditRequest(), timeout=LIMIT_S)

    assert [each.actor for each in audit.entries if "DRILL" in pb.Action.Name(each.action)] == [
        "olga"
    ]


async def test_a_host_reports_only_itself(tmp_path: Path) -> None:
    async with (
        proven_registry(tmp_path, [entry("host-a", Role.HOST)]) as registry,
        registry.open(token_of("host-a")) as channel,
    ):
        stub = registry_pb2_grpc.RegistryServiceStub(channel)
        await stub.ReportScorers(pb.ReportScorersRequest(host_id="host-a"), timeout=LIMIT_S)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.ReportScorers(pb.ReportScorersRequest(host_id="host-b"), timeout=LIMIT_S)

    assert refused.value.code() is Code.PERMISSION_DENIED
    assert "host-a may not report for host host-b" in str(refused.value.details())


async def test_a_refusal_names_the_needed_roles_and_has_a_reason_for_programs(
    tmp_path: Path,
) -> None:
    async with (
        proven_registry(tmp_path, [entry("vera", Role.VIEWER)]) as registry,
        registry.open(token_of("vera")) as channel,
    ):
        stub = registry_pb2_grpc.RegistryServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.SetBlock(pb.SetBlockRequest(), timeout=LIMIT_S)

    details = str(refused.value.details())
    assert details == "vera (viewer) may not SetBlock: it needs admin, operator"
    assert b"PERMISSION_REFUSED" in dict(refused.value.trailing_metadata())[DETAILS_KEY]


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.CONTROLLER, Role.ADMIN])
async def test_only_an_admin_overrides_limits(tmp_path: Path, role: Role) -> None:
    async with (
        proven_registry(tmp_path, [entry("vera", role)]) as registry,
        registry.open(token_of("vera")) as channel,
    ):
        request = pb.ChangeDeploymentRequest(model="fraud", reason="a test", override_reason="now")
        request.deploy_champion.version = 1
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await registry_pb2_grpc.RegistryServiceStub(channel).ChangeDeployment(
                request, timeout=LIMIT_S
            )

    if role is Role.ADMIN:
        assert refused.value.code() is Code.NOT_FOUND  # the model: the limits were not the reason
    else:
        assert refused.value.code() is Code.PERMISSION_DENIED
        expected = f"vera ({role}) may not override limits: that needs admin"
        assert refused.value.details() == expected


def test_a_call_that_is_not_in_the_table_starts_no_server() -> None:
    require_table_of(ROLES_OF_CALL)
    for calls in ([*ROLES_OF_CALL, "NewCall"], list(ROLES_OF_CALL)[1:]):
        with pytest.raises(AssertionError, match="table of permissions"):
            require_table_of(calls)
    with pytest.raises(PermissionRefusedError):
        require_permission("NewCall", Identity("root", frozenset(Role)))


def test_only_one_role_makes_each_report() -> None:
    """A report speaks for the process that sends it."""
    assert ROLES_OF_CALL["ReportScorers"] == {Role.HOST}
    assert ROLES_OF_CALL["ReportRouter"] == {Role.ROUTER}
