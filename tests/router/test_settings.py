"""Settings without effect are refused before anything starts."""

import os

import pytest

from router.cli.commands import app
from router.settings import RouterSettings
from router.worker_environment import worker_environment
from tests.in_process import run_command
from understudy.domain.errors import InvalidInputError
from understudy.domain.logged_ids import IdForm, LoggedIds
from understudy.runtime.exit_codes import USAGE
from understudy.runtime.settings import load_settings

PLACES = {"ROUTER_FEATURES": "lmdb:f", "ROUTER_LOG_DIR": "l", "ROUTER_STATE_DIR": "s"}
KEY = "hush, a key of the logs"


@pytest.fixture
def _places(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in PLACES.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("variable", "value", "named"),
    [
        ("ROUTER_WORKERS", "0", "ROUTER_WORKERS: read '0'"),
        ("ROUTER_DEFAULT_DEADLINE_S", "60", "default_deadline_s"),
        ("ROUTER_DEFAULT_DEADLINE_S", "nan", "a finite number"),
        ("ROUTER_LISTN", "x", "ROUTER_LISTN"),
        ("ROUTER_DRAIN_GRACE_S", "100", "termination_s"),
        ("ROUTER_COOL_DOWN_S", "30", "cool_down_s must be below termination_s"),
        ("ROUTER_LOG_GROUP", "root", "log_mode 0750 and log_group must be set together"),
        ("ROUTER_LOG_KEY", "k" * 65, "log_key must have 16 to 64 bytes and has 65"),
        ("ROUTER_LOG_KEY", "guessable", "log_key must have 16 to 64 bytes and has 9"),
        ("ROUTER_LOG_KEY", "", "log_ids is unkeyed (ids can be guessed) or plain"),
        ("ROUTER_LOG_IDS", "hashed", "'keyed', 'unkeyed' or 'plain'"),
        ("ROUTER_METRICS_PORT", "65536", "equal to 65535"),
        ("ROUTER_STATE_DIR", "/x/" + "d" * 100, "too deep"),
    ],
)
def test_an_invalid_setting_stops_the_start_with_64_and_its_name(
    variable: str, value: str, named: str
) -> None:
    environment = {**PLACES, "ROUTER_LOG_KEY": KEY, variable: value}

    ended = run_command(app, "serve", environment=environment)

    assert ended.exit_code == USAGE
    assert named in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.usefixtures("_places")
def test_settings_without_a_log_key_are_refused_unless_that_is_declared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(InvalidInputError, match="log_key must have 16 to 64 bytes and has 0"):
        load_settings(RouterSettings, {})

    monkeypatch.setenv("ROUTER_LOG_IDS", "unkeyed")
    assert load_settings(RouterSettings, {}).logged_ids == LoggedIds(IdForm.UNKEYED)

    monkeypatch.setenv("ROUTER_LOG_KEY", KEY)
    with pytest.raises(InvalidInputError, match="log_key has no effect because log_ids is unkey"):
        load_settings(RouterSettings, {})


@pytest.mark.usefixtures("_places")
def test_a_worker_inherits_secrets_unmasked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUTER_LOG_KEY", KEY)
    settings = load_settings(RouterSettings, {"default_deadline_s": 0.05})

    passed_on = worker_environment(settings)
    monkeypatch.setattr(os, "environ", passed_on)

    read = load_settings(RouterSettings, {})
    assert read.log_key.get_secret_value() == KEY
    assert read.default_deadline_s == 0.05
    assert "hush" not in settings.model_dump_json()


@pytest.mark.usefixtures("_places")
def test_the_last_workers_metrics_port_must_be_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUTER_LOG_KEY", KEY)

    assert load_settings(RouterSettings, {"metrics_port": 65_532, "workers": 4}).workers == 4
    with pytest.raises(InvalidInputError, match="port 65536"):
        load_settings(RouterSettings, {"metrics_port": 65_533, "workers": 4})
