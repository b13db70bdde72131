"""Settings from the environment: which variables count, and secrets in files."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.settings import RegistrySettings
from router.settings import RouterSettings
from scorer.settings import HostSettings, ScorerSettings
from understudy.domain.errors import InvalidInputError
from understudy.features.settings import AerospikeSettings
from understudy.runtime.service_links import is_service_link
from understudy.runtime.settings import ProcessSettings, load_settings

KINDS: dict[type[ProcessSettings], dict[str, str]] = {
    RouterSettings: {"features": "lmdb:f", "log_dir": "l", "state_dir": "s"},
    RegistrySettings: {"dir": "d", "unproven": "true"},
    HostSettings: {"dir": "d"},
    ScorerSettings: {},
    AerospikeSettings: {},
}
SERVICES = ("", "METRICS_", "CANARY_2_")


def links(service: str) -> dict[str, str]:
    """Return the variables of a Service with two ports, as the kubelet makes them."""
    name = service.removesuffix("_")
    return {
        f"{name}_SERVICE_HOST": "10.0.171.239",
        f"{name}_SERVICE_PORT": "8500",
        f"{name}_SERVICE_PORT_GRPC": "8500",
        f"{name}_SERVICE_PORT_HTTP_METRICS": "9090",
        f"{name}_PORT": "tcp://10.0.171.239:8500",
        **{
            f"{name}_PORT_{port}_{protocol.upper()}{part}": value
            for port, protocol in ((8500, "tcp"), (53, "udp"), (38412, "sctp"))
            for part, value in {
                "": f"{protocol}://10.0.171.239:{port}",
                "_PROTO": protocol,
                "_PORT": str(port),
                "_ADDR": "fd00::1",
            }.items()
        },
    }


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("service", SERVICES)
def test_links_of_services_named_like_our_prefixes_change_no_setting(
    kind: type[ProcessSettings], service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROUTER_LOG_IDS", "unkeyed")
    without = load_settings(kind, KINDS[kind])
    for name, value in links(f"{kind.model_config['env_prefix']}{service}").items():
        monkeypatch.setenv(name, value)

    assert load_settings(kind, KINDS[kind]) == without


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STRANGER", "1"),
        ("PORT", "8500"),  # someone means the port to listen on
        ("SERVICE_PORT", "http"),
        ("PORT_8500_TCP", "8500"),
        ("SERVICE_HOST_", "10.0.0.1"),
        ("SERVICE_HOST", ""),
    ],
)
def test_other_strangers_are_still_refused(
    kind: type[ProcessSettings], name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable = f"{kind.model_config['env_prefix']}{name}"
    monkeypatch.setenv(variable, value)

    with pytest.raises(InvalidInputError, match=f"{variable}: read an unknown setting"):
        load_settings(kind, KINDS[kind])


def test_a_setting_named_like_a_link_has_an_effect_if_its_value_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ROUTER_METRICS_PORT", "9090")
    monkeypatch.setenv("ROUTER_LOG_IDS", "unkeyed")

    assert load_settings(RouterSettings, KINDS[RouterSettings]).metrics_port == 9090


_NAMES = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_", min_size=1, max_size=30)


@given(_NAMES, st.text(max_size=30))
def test_no_setting_of_ours_is_taken_for_a_link_unless_its_value_is_a_url(
    value_name: str, value: str
) -> None:
    for kind in KINDS:
        for field in kind.model_fields:
            variable = f"{kind.model_config['env_prefix']}{field}".upper()
            assert not is_service_link(variable, value) or "://" in value


def secret_file(
    folder: Path, content: bytes = b"hush, a key of the logs\n", *, mode: int = 0o600
) -> Path:
    path = folder / "secret"
    path.write_bytes(content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o440, 0o640])
def test_a_secret_may_be_in_a_file(
    mode: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROUTER_LOG_KEY_FILE", str(secret_file(tmp_path, mode=mode)))
    monkeypatch.setenv("FEATURES_AEROSPIKE_USER", "router")
    monkeypatch.setenv("FEATURES_AEROSPIKE_PASSWORD_FILE", str(tmp_path / "secret"))

    router = load_settings(RouterSettings, KINDS[RouterSettings])
    aerospike = load_settings(AerospikeSettings, {})

    assert router.log_key.get_secret_value() == "hush, a key of the logs"
    assert aerospike.password.get_secret_value() == "hush, a key of the logs"
    assert "hush" not in router.model_dump_json()


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        (b"hush", 0o604, "mode 0604"),
        (b"hush", 0o660 | 0o001, "mode 0661"),
        (b"\n", 0o600, "nothing in"),
        (b"h\xffsh", 0o600, "not in UTF-8"),
        (b"h" * 65_537, 0o600, "more than 65536 bytes"),
        (b"k" * 65, 0o600, "log_key must have 16 to 64 bytes and has 65"),
    ],
)
def test_a_secret_file_that_is_no_secret_is_refused_without_its_content(
    content: bytes, mode: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = secret_file(tmp_path, content, mode=mode)
    monkeypatch.setenv("ROUTER_LOG_KEY_FILE", str(path))

    with pytest.raises(InvalidInputError, match=words) as refused:
        load_settings(RouterSettings, KINDS[RouterSettings])

    assert "hush" not in str(refused.value)
    assert "kkk" not in str(refused.value)


def test_a_secret_file_that_is_missing_or_a_pipe_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    for path in (tmp_path / "missing", tmp_path / "pipe", tmp_path):
        monkeypatch.setenv("ROUTER_LOG_KEY_FILE", str(path))
        with pytest.raises(InvalidInputError, match="ROUTER_LOG_KEY_FILE: read"):
            load_settings(RouterSettings, KINDS[RouterSettings])


def test_a_secret_given_twice_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUTER_LOG_KEY_FILE", str(secret_file(tmp_path)))
    monkeypatch.setenv("ROUTER_LOG_KEY", "hush")

    with pytest.raises(InvalidInputError, match="either ROUTER_LOG_KEY or ROUTER_LOG_KEY_FILE"):
        load_settings(RouterSettings, KINDS[RouterSettings])


def test_a_file_for_what_is_no_secret_is_an_unknown_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROUTER_LISTEN_FILE", str(secret_file(tmp_path)))

    with pytest.raises(InvalidInputError, match="ROUTER_LISTEN_FILE: read an unknown setting"):
        load_settings(RouterSettings, KINDS[RouterSettings])
