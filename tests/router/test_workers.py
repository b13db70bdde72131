"""The worker processes of a router."""

from pathlib import Path

import pytest

from router.settings import RouterSettings
from router.workers import supervise
from tests.stack.waiting import while_progress
from understudy.domain.logged_ids import IdForm
from understudy.runtime import exit_codes

pytestmark = pytest.mark.fault


async def test_workers_that_refuse_their_settings_end_the_router_and_are_not_restarted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = RouterSettings(
        listen="127.0.0.1:0",
        registry="127.0.0.1:1",
        features=f"lmdb:{tmp_path / 'f'}",
        log_dir=tmp_path / "l",
        log_ids=IdForm.UNKEYED,
        state_dir=tmp_path / "r",
        workers=2,
    )
    monkeypatch.setenv("ROUTER_STRANGER", "read by workers alone")

    code = await while_progress(supervise(settings))

    assert code == exit_codes.USAGE
    said = capfd.readouterr().err
    assert said.count("ROUTER_STRANGER: read an unknown setting") == 2
