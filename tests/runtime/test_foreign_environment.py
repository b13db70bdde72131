"""The environment of children that run foreign models."""

from hypothesis import given
from hypothesis import strategies as st

from understudy.runtime.supervision.foreign_environment import environment_for_foreign_code

NEEDED = {"PATH": "/bin", "LC_ALL": "C.UTF-8", "PYTHONPATH": "x", "OMP_NUM_THREADS": "1"}


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "AWS_SECRET_ACCESS_KEY",
                "DATABASE_URL",
                "ROUTER_LOG_KEY",
                "FEATURES_AEROSPIKE_PASSWORD",
                "REGISTRY_DIR",
                "KUBERNETES_SERVICE_HOST",
                "MY_PATH",
                "SSH_AUTH_SOCK",
                "HTTPS_PROXY",
            ]
        ),
        st.text(),
    )
)
def test_only_permitted_names_pass(others: dict[str, str]) -> None:
    assert environment_for_foreign_code({**others, **NEEDED}) == NEEDED
