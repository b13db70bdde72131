"""Settings without effect are refused before anything starts."""

import os

import pytest

from router.settings import RouterSettings
from router.workers import worker_environment
from tests.router.command_line import run_router
from understudy.domain.errors import InvalidInputError
from understudy.runtime.exit_codes import USAGE
from understudy.runtime.settings import load_settings

PLACES = {"ROUTER_FEATURES": "lmdb:f", "ROUTER_LOG_DIR": "l", "ROUTER_STATE_DIR": "s"}


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
        ("ROUTER_LOG_KEY", "k" * 65, "log_key"),
        ("ROUTER_LOG_GROUP", "root", "log_mode 0750 and log_group must be set together"),
        ("ROUTER_METRICS_PORT", "65536", "equal to 65535"),
        ("ROUTER_STATE_DIR", "/x/" + "d" * 100, "too deep"),
    ],
)
def test_an_invalid_setting_stops_the_start_with_64_and_its_name(
    variable: str, value: str, named: str
) -> None:
    ended = run_router("serve", environment={**PLACES, variable: value})

    assert ended.returncode == USAGE
    assert named in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.usefixtures("_places")
def test_a_worker_inherits_secrets_unmasked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUTER_LOG_KEY", "hush")
    settings = load_settings(RouterSettings, {"default_deadline_s": 0.05})

    passed_on = worker_environment(settings)
    monkeypatch.setattr(os, "environ", passed_on)

    read = load_settings(RouterSettings, {})
    assert read.log_key.get_secret_value() == "hush"
    assert read.default_deadline_s == 0.05
    assert "hush" not in settings.model_dump_json()


@pytest.mark.usefixtures("_places")
def test_the_last_workers_metrics_port_must_be_valid() -> None:
    assert load_settings(RouterSettings, {"metrics_port": 65_532, "workers": 4}).workers == 4
    with pytest.raises(InvalidInputError, match="port 65536"):
        load_settings(RouterSettings, {"metrics_port": 65_533, "workers": 4})
