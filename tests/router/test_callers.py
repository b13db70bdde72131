"""The scoring port with a file of identities: a name that is proven, and a role for each call."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from router.decisions.permissions import ROLES_OF_CALL
from router.edge.entry import entry_guard, guarded_handlers
from router.settings import RouterSettings
from tests.registry.callers import entry, token_of, write_identities
from tests.router.samples import MODEL
from tests.router.served import Served, open_served
from tests.runtime.transport.authorities import Authority
from understudy.domain.errors import PermissionRefusedError
from understudy.domain.identities import Identity, Role, require_role
from understudy.inference.reflection import SERVICE as INFERENCE
from understudy.runtime.rpc_boundary import open_to_all
from understudy.runtime.transport.transport import Transport
from understudy.scoring.v1 import scoring_pb2

Code = grpc.StatusCode
SCORING = scoring_pb2.DESCRIPTOR.services_by_name["ScoringService"].full_name
UNARY = {
    f"/{SCORING}/Score": scoring_pb2.ScoreRequest(model=MODEL, entities={"user": "u1"}),
    f"/{SCORING}/ScoreBatch": scoring_pb2.ScoreBatchRequest(model=MODEL),
    f"/{SCORING}/ExplainAssignment": scoring_pb2.ExplainAssignmentRequest(model=MODEL),
    f"/{SCORING}/RecordOutcomes": scoring_pb2.RecordOutcomesRequest(),
}
STREAMS = (f"/{SCORING}/ScoreStream", f"/{INFERENCE}/ModelStreamInfer")
INFERRING = ("ServerLive", "ServerReady", "ServerMetadata", "ModelReady", "ModelMetadata")
REFUSED = {Code.UNAUTHENTICATED, Code.PERMISSION_DENIED}


async def statuses(served: Served, access: Transport) -> dict[str, Code]:
    """Return the status of each call of the port by name."""
    found: dict[str, Code] = {}
    calls = {**UNARY, **{f"/{INFERENCE}/{each}": None for each in (*INFERRING, "ModelInfer")}}
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with access.open_channel(f"localhost:{served.port}", options) as opened:
        channel: Any = opened  # its stubs know no bytes
        for path, request in calls.items():
            body = b"" if request is None else request.SerializeToString()
            found[path.rpartition("/")[2]] = await status_of(
                channel.unary_unary(path)(body, timeout=60.0)
            )
        for path in STREAMS:
            call: Any = channel.stream_stream(path)(timeout=60.0)
            await call.done_writing()
            found[path.rpartition("/")[2]] = await call.code()
    return found


async def status_of(call: Any) -> Code:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code()
    return Code.OK


async def test_each_call_wants_a_name_and_its_role(tmp_path: Path) -> None:
    authority, file = Authority(tmp_path / "authority"), tmp_path / "identities.json"
    entries = [entry(role.value, role) for role in Role]
    ended = datetime.now(UTC) - timedelta(seconds=1)
    old = entry("old", Role.CALLER)
    old["tokens"][0]["expires"] = ended.isoformat()
    shop = {"name": "shop", "roles": ["caller"], "certificate": "shop.example"}
    write_identities(file, [*entries, old, shop])
    own = Transport(authority.files_of("localhost"), asks_callers=True)
    shown = authority.files_of("shop.example", folder="shop")
    unknown = authority.files_of("elsewhere.example", folder="elsewhere")

    async with open_served(guard=entry_guard(file), transport=own) as served:
        by_role = {
            role: await statuses(served, Transport(unknown, token=token_of(role.value)))
            for role in Role
        }
        by_certificate = await statuses(served, Transport(shown))
        unproven = [
            await statuses(served, access)
            for access in (
                Transport(unknown),
                Transport(unknown, token="wrong"),  # noqa: S106 - it is none
                Transport(unknown, token=token_of("old")),
            )
        ]

    for role, found in by_role.items():
        allowed = {call for call, status in found.items() if status not in REFUSED}
        assert allowed == {call for call, roles in ROLES_OF_CALL.items() if role in roles}, role
    assert found.keys() == ROLES_OF_CALL.keys()
    assert by_certificate["Score"] is Code.OK
    assert not REFUSED & {*by_certificate.values()}
    assert [{*each.values()} for each in unproven] == [{Code.UNAUTHENTICATED}] * 3


def test_a_call_that_is_in_no_table_is_refused_to_all_and_starts_no_router() -> None:
    handler: Any = grpc.unary_unary_rpc_method_handler(lambda _request, _context: b"")
    everything = Identity("ann", frozenset(Role))

    with pytest.raises(AssertionError, match="ScoreTwice"):
        guarded_handlers(SCORING, {"ScoreTwice": handler}, open_to_all, lambda _: None)
    with pytest.raises(PermissionRefusedError, match="a role that does not exist"):
        require_role(everything, "ScoreTwice", ROLES_OF_CALL)


def test_identities_on_a_port_in_plaintext_are_refused(tmp_path: Path) -> None:
    places: dict[str, Any] = {"features": "lmdb:f", "log_dir": "l", "state_dir": "s"}

    with pytest.raises(ValueError, match="identities needs tls_certificate"):
        RouterSettings(**places, log_ids="plain", identities=tmp_path / "i.json")
