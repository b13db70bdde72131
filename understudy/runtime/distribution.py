"""The names of our distributions, for installers and records.

`understudy-serving` contains the processes. It shares the package `understudy` with
`understudy-client`, and requires that at its own version.
"""

from importlib.metadata import version

CLIENT = "understudy-client"
SERVING = "understudy-serving"


def serving_version() -> str:
    return version(SERVING)


def installed_versions() -> dict[str, str]:
    """Return the versions of our distributions in this environment, by name."""
    return {name: version(name) for name in (SERVING, CLIENT)}
