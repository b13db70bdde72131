"""Registry, host, scorers and router as real processes that show each other certificates."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.runtime.transport.authorities import Authority
from tests.stack.deployed import Deployed, open_deployed
from understudy.client import AsyncScoringClient, ScoringError
from understudy.client import TlsFiles as ClientFiles
from understudy.control.client import RegistryClient
from understudy.control.wire_enums import LEVEL_OF
from understudy.domain.deployments import DegradationLevel
from understudy.domain.errors import UnavailableError
from understudy.runtime.transport.settings import environment_of
from understudy.runtime.transport.tls_files import TlsFiles
from understudy.runtime.transport.transport import LOCAL, Transport

pytestmark = pytest.mark.long
HERE = ("localhost", "127.0.0.1")
HOST_ID = "host-a"


async def score(deployed: Deployed, roots: Path | None) -> DegradationLevel:
    """Return the level of an answer, over a connection of its own."""
    credentials = None if roots is None else ClientFiles(roots=roots)
    router = deployed.stack.addresses.router
    async with AsyncScoringClient(router, timeout_s=60.0, credentials=credentials) as client:
        answer = await client.score("cancer", {"patient": deployed.units[0]})
    return LEVEL_OF[answer.degradation.level]


async def test_all_processes_serve_each_other_over_tls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path / "authority")
    stranger = Authority(tmp_path / "stranger")
    files = {
        prefix: authority.files_of(*HERE, folder=prefix)
        for prefix in ("REGISTRY_", "ROUTER_", "UNDERSTUDY_")
    }
    files["SCORER_HOST_"] = authority.files_of(HOST_ID, *HERE, folder="SCORER_HOST_")
    for prefix, own in files.items():
        asks = prefix not in {"ROUTER_", "UNDERSTUDY_"}
        for name, value in environment_of(Transport(own, asks_callers=asks), prefix=prefix).items():
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("SCORER_HOST_SCORER_ADDRESS", "127.0.0.1")
    monkeypatch.setenv("SCORER_HOST_HOST_ID", HOST_ID)
    monkeypatch.setenv("REGISTRY_UNPROVEN", "true")

    async with open_deployed(tmp_path / "s", versions=1) as deployed:
        scored = await score(deployed, authority.ca_file)
        scorer = deployed.scorer(1).address
        authority.files_of(*HERE, folder="ROUTER_")  # a new certificate of the same name
        after_replacement = await score(deployed, authority.ca_file)
        with pytest.raises(ScoringError):
            await score(deployed, None)
        with pytest.raises(ScoringError):
            await score(deployed, stranger.ca_file)
        registry = deployed.stack.addresses.registry
        for access in (
            LOCAL,
            Transport(TlsFiles(ca=authority.ca_file)),
            Transport(replace(stranger.files_of("me"), ca=authority.ca_file)),
        ):
            with (
                RegistryClient(registry, access=access) as client,
                pytest.raises(UnavailableError),
            ):
                client.get_status()

    assert scorer.startswith("127.0.0.1:"), "the scorers were not reached over TLS"
    assert scored is after_replacement is DegradationLevel.FULL
