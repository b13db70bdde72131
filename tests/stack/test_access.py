"""The access that a stack makes for its processes and for commands."""

import asyncio
import stat
from pathlib import Path

import pytest

from registry.app import open_registry
from registry.settings import RegistrySettings
from stack.access import (
    IDENTITIES_FILE,
    StackAccess,
    access_for_commands,
    prepare_access,
)
from understudy.control.access import TOKEN_FILE
from understudy.control.client import RegistryClient
from understudy.control.identities_file import read_identities, write_identities
from understudy.control.known_registries import known_folder
from understudy.domain.errors import InvalidInputError, UnauthenticatedError, UnavailableError
from understudy.domain.identities import Identity, Role
from understudy.runtime.free_port import free_port
from understudy.runtime.health import Health
from understudy.runtime.settings import load_settings
from understudy.runtime.transport.tls_files import TlsFiles
from understudy.runtime.transport.tokens import TokenFile
from understudy.runtime.transport.transport import LOCAL, Transport

ADDRESS = "127.0.0.1:8500"
UNSEEN = {"HOME": "/nowhere"}


def roles_in(folder: Path) -> dict[str, set[Role]]:
    return {each.name: {*each.roles} for each in read_identities(folder / IDENTITIES_FILE).all}


def test_each_process_of_a_stack_has_its_own_name_and_role(tmp_path: Path) -> None:
    access = prepare_access(tmp_path, ADDRESS, UNSEEN)

    roles = roles_in(tmp_path)
    assert roles.pop(access.scorers["SCORER_HOST_HOST_ID"]) == {Role.HOST}
    assert roles.pop("stack-router") == {Role.ROUTER}
    assert [*roles.values()] == [{Role.ADMIN}]


def test_its_files_are_for_its_user_alone_and_the_authoritys_key_is_not_among_them(
    tmp_path: Path,
) -> None:
    prepare_access(tmp_path, ADDRESS, UNSEEN)

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert set(modes.values()) == {0o600}
    assert {name for name in modes if "key" in name} == {"registry-key.pem", "host-key.pem"}


def test_tokens_and_callers_are_kept_and_certificates_are_new(tmp_path: Path) -> None:
    first = prepare_access(tmp_path, ADDRESS, UNSEEN)
    token = (tmp_path / TOKEN_FILE).read_bytes()
    before = (tmp_path / "registry-certificate.pem").read_bytes()
    known = read_identities(tmp_path / IDENTITIES_FILE).all
    added = Identity("ann@bank", frozenset({Role.AUTHOR}), certificate="ann.bank.example")
    write_identities(tmp_path / IDENTITIES_FILE, (*known, added))
    (tmp_path / "router-token").unlink()

    second = prepare_access(tmp_path, ADDRESS, UNSEEN)

    assert second.operator.token == first.operator.token == TokenFile(tmp_path / TOKEN_FILE)
    assert (tmp_path / TOKEN_FILE).read_bytes() == token
    assert roles_in(tmp_path)["ann@bank"] == {Role.AUTHOR}
    assert (tmp_path / "registry-certificate.pem").read_bytes() != before
    router = next(
        e for e in read_identities(tmp_path / IDENTITIES_FILE).all if e.name == "stack-router"
    )
    assert router.tokens != next(e for e in known if e.name == "stack-router").tokens
    assert len(router.tokens) == 1


@pytest.mark.parametrize(
    "name", ["REGISTRY_UNPROVEN", "REGISTRY_IDENTITIES", "ROUTER_TLS_CA", "SCORER_HOST_TOKEN_FILE"]
)
def test_an_environment_that_decides_is_left_to_decide(name: str, tmp_path: Path) -> None:
    access = prepare_access(tmp_path, ADDRESS, {name: "set"})

    assert [*tmp_path.iterdir()] == []
    assert access == StackAccess()


@pytest.mark.parametrize("decides", ["the stack", "the environment"])
def test_commands_find_the_access_that_a_stack_has_made_itself(
    decides: str, tmp_path: Path
) -> None:
    folder = tmp_path / "access"
    folder.mkdir()
    state = {"XDG_STATE_HOME": str(tmp_path / "state")}
    decided = {"REGISTRY_UNPROVEN": "true"} if decides == "the environment" else {}
    access = prepare_access(folder, ADDRESS, {**state, **decided})

    with access_for_commands(access, ADDRESS, folder, state) as can_act:
        found = known_folder(ADDRESS, state)

    assert can_act
    assert found == (folder.resolve() if decides == "the stack" else None)


def test_a_host_id_that_no_certificate_can_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="names of hosts"):
        prepare_access(tmp_path, ADDRESS, {"SCORER_HOST_HOST_ID": "host:1"})


async def test_the_registry_of_a_stack_wants_proof_on_loopback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"127.0.0.1:{free_port()}"
    access = prepare_access(tmp_path, address, UNSEEN)
    for name, value in access.registry.items():
        monkeypatch.setenv(name, value)
    settings = load_settings(RegistrySettings, {"dir": tmp_path / "r", "listen": address})

    async with open_registry(settings) as opened:
        await opened.server.start()
        opened.health.turn(Health.SERVING)
        failures = {
            "nothing": await failure_of(address, LOCAL),
            "no token": await failure_of(address, Transport(TlsFiles(ca=tmp_path / "ca.pem"))),
            "all": await failure_of(address, access.operator),
        }
        opened.watchers.close()
        await opened.server.stop(None)

    assert failures == {"nothing": UnavailableError, "no token": UnauthenticatedError, "all": None}


async def failure_of(address: str, access: Transport) -> type[Exception] | None:
    """Return the class of the error of a call with this access; None without an error."""
    try:
        with RegistryClient(address, access=access) as client:
            await asyncio.to_thread(client.get_status)
    except (UnavailableError, UnauthenticatedError) as error:
        return type(error)
    return None
