"""The children of a process that hangs: do they still run?"""

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
