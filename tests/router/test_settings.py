"""Settings that will not act are refused before anything starts."""

import os

import pytest

from router.settings import RouterSettings
from router.workers import worker_environment
from tests.router.command_line import run_router
from understudy.runtime.exit_codes import USAGE


@pytest.mark.parametrize(
    ("variable", "value", "named"),
    [
        ("ROUTER_WORKERS", "0", "workers"),
        ("ROUTER_DEFAULT_DEADLINE_S", "60", "default_deadline_s"),
        ("ROUTER_DEFAULT_DEADLINE_S", "nan", "default_deadline_s"),
        ("ROUTER_LISTN", "x", "ROUTER_LISTN"),
        ("ROUTER_DRAIN_GRACE_S", "100", "termination_s"),
        ("ROUTER_COOL_DOWN_S", "30", "cool_down_s must be below termination_s"),
        ("ROUTER_LOG_KEY", "k" * 65, "log_key"),
        ("ROUTER_METRICS_PORT", "65536", "metrics_port"),
        ("ROUTER_STATE_DIR", "/x/" + "d" * 100, "too deep"),
    ],
)
def test_a_bad_setting_ends_the_start_with_64_and_its_name(
    variable: str, value: str, named: str
) -> None:
    ended = run_router("serve", environment={variable: value})

    assert ended.returncode == USAGE
    assert named in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_worker_inherits_secrets_unmasked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUTER_LOG_KEY", "hush")
    settings = RouterSettings(default_deadline_s=0.05)

    passed_on = worker_environment(settings)
    monkeypatch.setattr(os, "environ", passed_on)

    assert RouterSettings().log_key.get_secret_value() == "hush"
    assert RouterSettings().default_deadline_s == 0.05
    assert "hush" not in settings.model_dump_json()


def test_the_last_workers_metrics_port_must_be_one() -> None:
    assert RouterSettings(metrics_port=65_532, workers=4).workers == 4
    with pytest.raises(ValueError, match="port 65536"):
        RouterSettings(metrics_port=65_533, workers=4)
