"""The command line of a child process that runs Python."""

import os
import signal
import sys

from understudy.runtime.supervision import bound_to_parent


def python_command(*arguments: str) -> tuple[str, ...]:
    """Return the command that runs this Python with `arguments`, e.g. `-m router worker`.

    `-P`: with a plain `-m` Python searches the working directory first, and an operator's may
    contain a folder `router` or a script `numpy.py`.
    """
    return (sys.executable, "-P", *arguments)


def bound_python_command(
    *arguments: str, orphaned_by: signal.Signals = signal.SIGTERM
) -> tuple[str, ...]:
    """Return the command of a child that runs `arguments` and ends when this process does.

    Args:
        arguments: of Python, as for `python_command`.
        orphaned_by: the signal that the kernel sends when this process dies. SIGTERM lets the
            child drain; SIGKILL ends it even if it hangs.
    """
    binding = (sys.executable, "-I", "-S", bound_to_parent.__file__)
    return (*binding, str(os.getpid()), str(int(orphaned_by)), *python_command(*arguments))
