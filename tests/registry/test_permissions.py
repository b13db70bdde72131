"""Every call by every role and every kind of proof, over real gRPC; refused by default."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from registry.decisions.permissions import ROLES_OF_CALL, require_permission
from registry.server.authentication import require_table_of
from tests.registry.callers import (
    ProvenRegistry,
    entry,
    proven_registry,
    token_of,
    write_identities,
)
from tests.runtime.transport.authorities import Authority
from understudy.domain.errors import PermissionRefusedError
from understudy.domain.identities import Identity, Role
from understudy.registry.v1 import registry_pb2 as pb
from understudy.registry.v1 import registry_pb2_grpc
from understudy.runtime.error_details import DETAILS_KEY
from understudy.runtime.transport.tls_files import TlsFiles
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
    calls = [method.name for method in SERVICE.methods]
    found = await asyncio.gather(*(status_of(channel, call) for call in calls))
    return dict(zip(calls, found, strict=True))


def allowed_in(found: dict[str, grpc.StatusCode]) -> frozenset[str]:
    return frozenset(call for call, status in found.items() if status not in REFUSALS)


def allowed_to(role: Role) -> frozenset[str]:
    # An empty report names no host, so that it is never the caller's own.
    own = {"ReportScorers"} if role is Role.HOST else set()
    return frozenset(call for call, roles in ROLES_OF_CALL.items() if role in roles) - own


# The suite tries each role, and each kind of proof by one role at least; the long one all of both.
SOME_AND_ALL = pytest.mark.parametrize(
    "tries_all", [False, pytest.param(True, marks=pytest.mark.long)], ids=["some", "all"]
)
TOKENS_THAT_PROVE = ("present", "renewed", "kept")
TOKENS_THAT_DO_NOT = ("expired", "former", "removed", "unknown", " ", None)


def tried(role: Role, kinds: Sequence[str | None], *, tries_all: bool) -> list[str | None]:
    """Return all kinds of proof, or the first one and another one for each role in turn."""
    turn = list(Role).index(role) % (len(kinds) - 1)
    return list(kinds) if tries_all else [kinds[0], kinds[1 + turn]]


def entries_of(role: Role, now: datetime) -> list[dict[str, Any]]:
    """Return callers of a role, each with a token in another stage of its life."""

    def until(token: str, expires: datetime) -> dict[str, Any]:
        (written,) = entry("", role, token=token)["tokens"]
        return {**written, "expires": expires.isoformat()}

    past, later = now - timedelta(seconds=1), now + timedelta(days=1)
    return [
        entry(f"{role}-present", role),
        entry(f"{role}-expired", role, tokens=[until(f"{role}-expired", past)]),
        entry(
            f"{role}-renewed",
            role,
            tokens=[
                until(f"{role}-former", past),
                until(f"{role}-kept", later),
                until(f"{role}-renewed", later),
            ],
        ),
    ]


@SOME_AND_ALL
async def test_each_role_may_make_the_calls_of_the_table_with_a_token_that_is_valid(
    tmp_path: Path, *, tries_all: bool
) -> None:
    """Every call by every role with every kind of token, in one registry."""
    now = datetime.now(UTC)
    lasting = [each for role in Role for each in entries_of(role, now)]
    removed = [entry(f"{role}-removed", role) for role in Role]
    found: dict[tuple[Role, str | None], frozenset[str]] = {}
    refused_by: set[grpc.StatusCode] = set()
    async with proven_registry(tmp_path, [*lasting, *removed]) as registry:
        for role in Role:  # they are known until they are removed
            async with registry.open(token_of(f"{role}-removed")) as channel:
                assert await status_of(channel, "GetStatus") is not Code.UNAUTHENTICATED
        write_identities(registry.identities, lasting)
        for role in Role:
            kinds = (*TOKENS_THAT_PROVE, *TOKENS_THAT_DO_NOT)
            for kind in tried(role, kinds, tries_all=tries_all):
                token = token_of(f"{role}-{kind}") if kind and kind.strip() else kind
                async with registry.open(token) as channel:
                    answers = await statuses(channel)
                found[role, kind] = allowed_in(answers)
                if kind not in TOKENS_THAT_PROVE:
                    refused_by |= set(answers.values())

    assert refused_by == {Code.UNAUTHENTICATED}
    expected = {
        (role, kind): allowed_to(role) if kind in TOKENS_THAT_PROVE else frozenset()
        for role, kind in found
    }
    assert found == expected


@SOME_AND_ALL
async def test_each_role_may_make_the_calls_of_the_table_with_a_certificate_that_is_valid(
    tmp_path: Path, *, tries_all: bool
) -> None:
    """Every call by every role with every kind of certificate; renewed ones over open channels."""
    callers = [
        {"name": f"{role}-caller", "roles": [role], "certificate": f"{role}.bank"} for role in Role
    ]
    stranger = Authority(tmp_path / "stranger")
    proving: dict[tuple[Role, str], frozenset[str]] = {}
    without: dict[str, set[grpc.StatusCode]] = {}
    async with proven_registry(tmp_path, callers, asks_callers=True) as registry:
        ours, trust = registry.authority, registry.authority.ca_file

        async def seen(files: TlsFiles) -> dict[str, grpc.StatusCode]:
            async with registry.open_by(files) as channel:
                return await statuses(channel)

        without["missing"] = {*(await seen(TlsFiles(ca=trust))).values()}
        for role in Role:
            name, home = f"{role}.bank", tmp_path / role
            own = ours.files_of("x", name, home=home)
            async with registry.open_by(own) as channel:
                proving[role, "present"] = allowed_in(await statuses(channel))
                ours.files_of("y", name, home=home)
                proving[role, "renewed"] = allowed_in(await statuses(channel))
            if not tries_all and role is not Role.ADMIN:
                continue
            unknown = ours.files_of(f"{name}.example", folder="unknown")
            others = replace(stranger.files_of(name), ca=trust)
            for kind, files in (("unknown", unknown), ("of another authority", others)):
                without.setdefault(kind, set()).update((await seen(files)).values())
            expired = await expired_certificate(registry, name, tmp_path / f"{role}-expired")
            without.setdefault("expired", set()).update(expired)

    assert without == {
        "missing": {Code.UNAVAILABLE},
        "expired": {Code.UNAVAILABLE},
        "of another authority": {Code.UNAVAILABLE},
        "unknown": {Code.UNAUTHENTICATED},
    }
    assert proving == {(role, kind): allowed_to(role) for role, kind in proving}
    assert len(proving) == 2 * len(Role)


async def expired_certificate(
    registry: ProvenRegistry, name: str, home: Path
) -> set[grpc.StatusCode]:
    """Return the statuses of all calls with a certificate that has expired.

    Our channels refuse to read one, so this is one of a caller's own.
    """
    expired = datetime.now(UTC) - timedelta(seconds=1)
    files = registry.authority.files_of(name, home=home, expires=expired)
    assert files.key is not None
    assert files.certificate is not None
    credentials = grpc.ssl_channel_credentials(
        registry.authority.ca_file.read_bytes(),
        files.key.read_bytes(),
        files.certificate.read_bytes(),
    )
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.secure_channel(registry.target, credentials, options=options) as channel:
        return {*(await statuses(channel)).values()}


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
