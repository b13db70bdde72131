"""CPU time of processes."""

import psutil


def cpu_s_of_tree(pid: int) -> float:
    """Return the CPU seconds of a process and its living descendants; 0 if it has ended."""
    try:
        root = psutil.Process(pid)
        processes = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    return sum(_cpu_s(process) for process in processes)


def _cpu_s(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)
