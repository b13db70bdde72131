"""The audit log records each actor with the proof of the name, the machine, and the person acted for."""

from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from registry.decisions.audit_chain import first_break
from tests.registry.callers import ProvenRegistry, entry, proven_registry, token_of
from tests.registry.commands import REASON, command, json_of
from tests.registry.operator import LIMIT_S, failure_of, running_registry
from tests.registry.test_audit_chain import GENESIS, chain
from understudy.control.identity import ACTOR_KEY, ON_BEHALF_OF_KEY
from understudy.domain.identities import Role
from understudy.registry.v1 import registry_pb2 as pb
from understudy.registry.v1 import registry_pb2_grpc
from understudy.runtime.exit_codes import OK
from understudy.scoring.v1 import scoring_pb2

DRILL = pb.RecordDrillRequest(
    router="r",
    level=scoring_pb2.DEGRADATION_LEVEL_CONSTANT,
    duration_s=60,
    reason="an exercise",
)
MACHINE = "ipv4:127.0.0.1"


async def drilled(channel: grpc.aio.Channel, **metadata: str) -> pb.AuditEntry:
    """Return the last row of the log after a drill under this metadata."""
    stub = registry_pb2_grpc.RegistryServiceStub(channel)
    await stub.RecordDrill(DRILL, metadata=tuple(metadata.items()), timeout=LIMIT_S)
    return (await stub.ListAudit(pb.ListAuditRequest(), timeout=LIMIT_S)).entries[-1]


async def seen_by(registry: ProvenRegistry, name: str, **metadata: str) -> pb.AuditEntry:
    async with registry.open(token_of(name)) as channel:
        return await drilled(channel, **metadata)


async def test_a_row_says_how_the_name_was_proven_and_from_where_it_came(tmp_path: Path) -> None:
    olga = {"name": "olga", "roles": ["operator", "viewer"], "certificate": "olga.bank"}
    entries = [entry("root", Role.ADMIN), olga]
    async with proven_registry(tmp_path / "proven", entries, asks_callers=True) as registry:
        async with registry.open(token_of("root"), names=("other.bank",)) as channel:
            by_token = await drilled(channel, **{ACTOR_KEY: "olga"})
        async with registry.open(names=("olga.bank",)) as channel:
            by_certificate = await drilled(channel)
    async with running_registry(tmp_path / "believing") as channel:
        claimed = await drilled(channel, **{ACTOR_KEY: "olga"})

    found = [(row.actor, row.proof, row.peer) for row in (by_token, by_certificate, claimed)]
    assert found == [
        ("root", pb.PROOF_TOKEN, MACHINE),
        ("olga", pb.PROOF_CERTIFICATE, MACHINE),
        ("olga", pb.PROOF_UNPROVEN, MACHINE),
    ]
    assert not by_token.HasField("on_behalf_of")


@pytest.mark.parametrize("role", [Role.CONTROLLER, Role.ADMIN])
async def test_an_automation_names_the_person_for_whom_it_acts_beside_its_own_name(
    tmp_path: Path, role: Role
) -> None:
    roles = {role, Role.OPERATOR}  # controllers make no drills
    async with proven_registry(tmp_path, [entry("pipeline", *roles, Role.VIEWER)]) as registry:
        row = await seen_by(registry, "pipeline", **{ON_BEHALF_OF_KEY: "ann@bank"})

    assert (row.actor, row.on_behalf_of) == ("pipeline", "ann@bank")


@pytest.mark.parametrize(
    ("role", "other", "status"),
    [
        (Role.OPERATOR, "ann@bank", grpc.StatusCode.PERMISSION_DENIED),
        (Role.ADMIN, "n/a", grpc.StatusCode.INVALID_ARGUMENT),
        (Role.ADMIN, "a" * 201, grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
async def test_another_role_or_no_name_acts_on_behalf_of_no_one(
    tmp_path: Path, role: Role, other: str, status: grpc.StatusCode
) -> None:
    async with proven_registry(tmp_path, [entry("olga", role, Role.VIEWER)]) as registry:
        failure = await failure_of(seen_by(registry, "olga", **{ON_BEHALF_OF_KEY: other}))
        async with registry.open(token_of("olga")) as channel:
            stub = registry_pb2_grpc.RegistryServiceStub(channel)
            log = await stub.ListAudit(pb.ListAuditRequest(), timeout=LIMIT_S)

    assert failure.code() is status
    assert list(log.entries) == []


def test_commands_pass_on_the_person_and_show_both(registry: str) -> None:
    done = command("deploy", "fraud", "1", *REASON, "--on-behalf-of", "ann@bank")

    row = json_of("audit", "list", "fraud")["entries"][-1]
    assert done.exit_code == OK, done.output
    assert (row["on_behalf_of"], row["proof"]) == ("ann@bank", "PROOF_UNPROVEN")
    assert "for ann@bank (unproven" in " ".join(command("audit", "list", "fraud").output.split())


def test_a_row_of_another_layout_is_not_mistaken_for_one_of_this() -> None:
    recorded = chain(3)
    recorded[1] = replace(
        recorded[1], row=replace(recorded[1].row, format="understudy/audit_row/1")
    )

    assert first_break(recorded, GENESIS) == 2
