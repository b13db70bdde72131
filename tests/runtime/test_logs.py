"""Every line on stdout is one JSON object, including those of libraries."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import logging, structlog, sys, threading
from understudy.runtime.logs import configure_logs
configure_logs("router-0")
structlog.get_logger().info("request_scored", latency_ms=1.5)
logging.getLogger("grpc").warning('odd "quotes" and %d', 3)
thread = threading.Thread(target=lambda: structlog.get_logger().info("file_written"))
thread.start()
thread.join()
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("asyncio").exception("it broke")
"""


def test_our_lines_and_those_of_libraries_are_json_with_process_and_time() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )

    ours, library, of_thread, broke = (json.loads(line) for line in ended.stdout.splitlines())
    assert (ours["event"], ours["latency_ms"]) == ("request_scored", 1.5)
    assert (library["event"], library["level"]) == ('odd "quotes" and 3', "warning")
    assert "ZeroDivisionError" in broke["exception"]
    assert {line["process"] for line in (ours, library, of_thread, broke)} == {"router-0"}
    assert all("timestamp" in line for line in (ours, library, of_thread, broke))


@pytest.mark.fault
def test_a_full_disk_below_the_log_ends_no_process() -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-c", f"{PROGRAM}\nsys.stderr.write('went on')"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert "went on" in ended.stderr
    assert "Traceback" not in ended.stderr
