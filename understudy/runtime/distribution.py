"""The name of the distribution that contains the processes, for installers and records.

It shares the package `understudy` with `understudy-client`, and requires that at its own version.
"""

from importlib.metadata import version

SERVING = "understudy-serving"


def serving_version() -> str:
    return version(SERVING)
