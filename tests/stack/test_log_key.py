"""The key of a stack's logs."""

import stat
from pathlib import Path

from stack.log_key import log_key_environment
from understudy.domain.logged_ids import MOST_KEY_BYTES
from understudy.runtime.secret_files import read_secret


def test_a_key_is_made_once_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "log-key"

    first = log_key_environment(path, {})
    key = read_secret(path, variable="key")
    second = log_key_environment(path, {})

    assert first == second == {"ROUTER_LOG_KEY_FILE": str(path)}
    assert read_secret(path, variable="key") == key
    assert len(key) == MOST_KEY_BYTES
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_the_operators_own_decision_makes_no_key(tmp_path: Path) -> None:
    for name in ("ROUTER_LOG_KEY", "ROUTER_LOG_KEY_FILE", "ROUTER_LOG_IDS"):
        assert log_key_environment(tmp_path / "log-key", {name: "plain"}) == {}

    assert list(tmp_path.iterdir()) == []
