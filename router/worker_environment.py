"""The environment of the processes that a router starts: the same settings, as it read them."""

import os

from pydantic import SecretStr

from router.settings import RouterSettings


def worker_environment(settings: RouterSettings) -> dict[str, str]:
    """Return the environment in which a worker reads the same settings.

    Secrets are not written: the worker inherits them, and a dump masks them.
    """
    secrets = {name for name, value in settings if isinstance(value, SecretStr)}
    # Only those that were given: a default that does not act on the chosen front is no wish.
    values = settings.model_dump(mode="json", exclude={"listen", *secrets}, exclude_unset=True)
    own = {f"ROUTER_{name.upper()}": str(value) for name, value in values.items()}
    return {**os.environ, **own}
