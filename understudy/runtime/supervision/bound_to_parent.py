"""A wrapper that execs a program bound to its parent's life: `… PARENT_PID SIGNAL PROGRAM ARGS…`.

A supervisor cannot set this from outside, and running Python between fork and exec is not safe
next to threads. So the child asks the kernel itself, then executes the program; the request
survives exec. The script needs only the standard library: it runs without site packages, which
keeps its cost at 20 ms.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent_pid, signal_number, *command = sys.argv[1:]
    if sys.platform == "linux":
        # Sent when the thread that started this process ends: with asyncio the main thread.
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(signal_number), 0, 0, 0)
        if os.getppid() != int(parent_pid):  # it died before we asked
            sys.exit(1)
    os.execv(command[0], command)  # noqa: S606 - the supervisor's own argument list, no shell


if __name__ == "__main__":
    main()
