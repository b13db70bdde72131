"""Settings of the Aerospike store: bounds, relations, and their effect on the client."""

from dataclasses import replace

import pytest

from tests.features.aerospike_node import running_node
from tests.features.builders import a_view, floats
from understudy.domain.errors import InvalidInputError, UnavailableError
from understudy.features.adapters.aerospike_client import AerospikeOptions, open_client
from understudy.features.adapters.aerospike_keys import set_of
from understudy.features.settings import AerospikeSettings
from understudy.features.stores import open_store

HOSTS = (("h1", 3000), ("h2", 3001))


def test_settings_become_plain_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATURES_AEROSPIKE_USER", "router")
    monkeypatch.setenv("FEATURES_AEROSPIKE_PASSWORD", "secret")
    monkeypatch.setenv("FEATURES_AEROSPIKE_SET_PREFIX", "test_")

    settings = AerospikeSettings()

    assert "secret" not in repr(settings)
    options = settings.options(HOSTS, "features")
    assert (options.password, options.hosts, options.namespace) == ("secret", HOSTS, "features")
    assert set_of(options, a_view("user", floats(1))) == "test_user.1"
    defaults = AerospikeOptions(HOSTS, "features")
    assert options == replace(
        defaults, set_prefix="test_", user="router", password=options.password
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TIMEOUT_DELAY_MS", "100"),
        ("THREADS", "20"),  # more than connections
        ("REPLICA", "nearest"),
        ("USER", "router"),  # without a password
        ("PASSWORD", "secret"),  # without a user
        ("AUTH_MODE", "pki"),  # without a certificate
        ("AUTH_MODE", "external"),  # without a user
        ("TLS_NAME", "features.example"),  # without TLS
        ("RACK_ID", "1"),  # with replicas by sequence
        ("REPLICA", "prefer_rack"),  # of no rack
        ("TOTAL_TIMEOUT_MS", "20"),  # no such setting
    ],
)
def test_settings_that_contradict_each_other_stop_the_process(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"FEATURES_AEROSPIKE_{name}", value)

    with pytest.raises(InvalidInputError, match="FEATURES_AEROSPIKE_"):
        open_store("aerospike://127.0.0.1:1/features")


def test_a_contradiction_is_reported_without_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATURES_AEROSPIKE_PASSWORD", "secret")

    with pytest.raises(
        InvalidInputError, match="user and password must be set together"
    ) as refused:
        open_store("aerospike://127.0.0.1:1/features")

    assert "secret" not in str(refused.value)


def test_the_client_accepts_every_option() -> None:
    options = AerospikeOptions(
        (("127.0.0.1", 1),),
        "features",
        cluster_name="c",
        user="u",
        password="p",  # noqa: S106 - not of a real server
        auth_mode="external_insecure",
        rack_id=3,
        replica="prefer_rack",
        timeout_delay_ms=3000,
        connect_timeout_ms=100,
    )

    open_client(options).close()


def test_tls_options_are_passed_to_the_client() -> None:
    options = AerospikeOptions(
        (("127.0.0.1", 1),), "features", tls=True, tls_name="n", tls_ca_file="/no/such.pem"
    )

    with pytest.raises(UnavailableError, match=r"feature store aerospike://127.0.0.1:1/features"):
        open_client(options)


def test_a_certificate_logs_in_without_a_user() -> None:
    options = AerospikeOptions((("127.0.0.1", 1),), "features", auth_mode="pki")

    with pytest.raises(UnavailableError, match="TLS is required"):  # the client applied the mode
        open_client(options)


def test_alternate_addresses_of_peers_are_asked_for() -> None:
    with running_node() as node:
        options = AerospikeOptions((("127.0.0.1", node.port),), "features")
        open_client(options, must_connect=True).close()
        assert "peers-clear-alt" not in node.asked_names

        open_client(replace(options, use_services_alternate=True), must_connect=True).close()

        assert "peers-clear-alt" in node.asked_names


def test_long_names_of_views_fit_a_set() -> None:
    options = AerospikeOptions(HOSTS, "features", set_prefix="p" * 32)
    first, second = a_view("v" * 63, floats(1)), a_view("v" * 63, floats(1), version=2)

    names = {set_of(options, first), set_of(options, second)}

    assert len(names) == 2
    assert all(len(name) <= 63 for name in names)
