"""The children of a process that hangs or has died: do they still run?"""

import os
from contextlib import suppress

import psutil


def all_children_run(pid: int) -> bool:
    """Return whether the process has children, and none of them has ended.

    A child that ended stays a zombie as long as its parent hangs.
    """
    try:
        children = psutil.Process(pid).children()
        return bool(children) and all(child.status() != psutil.STATUS_ZOMBIE for child in children)
    except psutil.NoSuchProcess:
        return False


def members_of_session(leader_pid: int) -> list[psutil.Process]:
    """Return the processes in the session of a process, which may have died."""
    members: list[psutil.Process] = []
    for process in psutil.process_iter():
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            if os.getsid(process.pid) == leader_pid:
                members.append(process)
    return members
