"""Settings of the whole suite."""

import os

from hypothesis import HealthCheck, settings

# On a shared machine an example may take any time: no deadline per example.
settings.register_profile("dev", max_examples=50, deadline=None)
settings.register_profile(
    "ci",
    max_examples=200,
    deadline=None,
    derandomize=True,  # CI is repeatable
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("ci" if os.environ.get("CI") else "dev")
