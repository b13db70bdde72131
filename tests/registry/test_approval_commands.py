"""Approvals by people with tokens, through the commands."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.registry.callers import ProvenRegistry, entry, proven_registry, token_of
from tests.registry.commands import REASON, command, json_of
from understudy.domain.identities import Role
from understudy.runtime.exit_codes import NOT_PERMITTED, OK, REFUSED

ENTRIES = [
    entry("ann", Role.ADMIN),
    entry("bob", Role.APPROVER),
    entry("ada@lab", Role.APPROVER),  # the author of both versions
    entry("olga", Role.OPERATOR),
]


@pytest.fixture
def as_caller(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Let commands act as a caller of a registry, with the caller's token."""

    def use(registry: ProvenRegistry, name: str) -> None:
        file = tmp_path / "token"
        file.unlink(missing_ok=True)
        file.touch(mode=0o600)
        file.write_text(token_of(name))
        monkeypatch.setenv("UNDERSTUDY_REGISTRY", registry.target)
        monkeypatch.setenv("UNDERSTUDY_TLS_CA", str(registry.authority.ca_file))
        monkeypatch.setenv("UNDERSTUDY_TOKEN_FILE", str(file))

    return use


async def test_a_model_that_demands_approval_gets_it_from_another_person(
    seeded: Path, as_caller: Callable[..., None]
) -> None:
    async with proven_registry(seeded.parent, ENTRIES) as registry:

        async def run(name: str, *words: str) -> tuple[int, str]:
            as_caller(registry, name)
            done = await asyncio.to_thread(command, *words)
            return done.exit_code, " ".join(done.output.split())

        async def read(*words: str) -> Any:
            as_caller(registry, "bob")
            return await asyncio.to_thread(json_of, *words)

        demanded = await run("ann", "require-approval", "fraud", "one", *REASON)
        by_operator = await run("olga", "approve", "fraud@1", *REASON)
        by_admin = await run("ann", "approve", "fraud@1", *REASON)
        by_author = await run("ada@lab", "approve", "fraud@1", *REASON)
        unapproved = await run("olga", "deploy", "fraud@1", "--no-wait", *REASON)
        content = (await read("show", "fraud@1"))["content_digest"]
        approved = await run("bob", "approve", "fraud@1", "--content", content, *REASON)
        deployed = await run("olga", "deploy", "fraud@1", "--no-wait", *REASON)
        shown = await read("show", "fraud@1")
        listed = await run("olga", "list", "fraud")
        status = await run("olga", "status", "fraud")
        audit = await read("audit", "list", "fraud", "--verify")

    assert demanded[0] == OK
    assert demanded[1].endswith("a version of fraud needs 1 approvals to answer callers")
    assert {by_operator[0], by_admin[0], by_author[0]} == {NOT_PERMITTED}
    assert unapproved[0] == REFUSED
    assert "could approve: bob" in unapproved[1]
    assert (approved[0], deployed[0]) == (OK, OK), (approved, deployed)
    assert [each["actor"] for each in shown["approval"]["approvals"]] == ["bob"]
    for words in (listed, status):
        assert "1 of 1 approvals: bob" in words[1]
    actions = [row["action"] for row in audit["entries"]]
    assert actions[2:] == ["ACTION_APPROVAL_POLICY", "ACTION_APPROVE", "ACTION_DEPLOY"]
    assert audit["chain_intact"]
