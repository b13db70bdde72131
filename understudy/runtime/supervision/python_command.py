"""The command line of a child process that runs Python."""

import sys


def python_command(*arguments: str) -> tuple[str, ...]:
    """Return the command that runs this Python with `arguments`, e.g. `-m router worker`.

    `-P`: with a plain `-m` Python looks for every module in the working directory first, and an
    operator's may well hold a folder named `router`, or a script named `numpy.py`.
    """
    return (sys.executable, "-P", *arguments)
