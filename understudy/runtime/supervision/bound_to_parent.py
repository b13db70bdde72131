"""Become another program that ends when its parent does: `… PARENT_PID PROGRAM ARGS…`.

A supervisor cannot set this from outside, and running Python between fork and exec is not safe
beside threads. So the child asks the kernel itself, then replaces itself; the wish survives exec.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    parent_pid, *command = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != int(parent_pid):  # it died before we asked
            sys.exit(1)
    os.execv(command[0], command)  # noqa: S606 - the supervisor's own argument list, no shell


if __name__ == "__main__":
    main()
