"""Every line on stdout is one JSON object, also those of libraries."""

import json
import subprocess
import sys

PROGRAM = """
import logging, structlog
from runtime.logs import configure_logs
configure_logs("router-0")
structlog.get_logger().info("request_scored", latency_ms=1.5)
logging.getLogger("grpc").warning('odd "quotes" and %d', 3)
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("asyncio").exception("it broke")
"""


def test_lines_of_ours_and_of_libraries_are_json_with_process_and_time() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )

    ours, library, broke = (json.loads(line) for line in ended.stdout.splitlines())
    assert (ours["event"], ours["latency_ms"]) == ("request_scored", 1.5)
    assert (library["event"], library["level"]) == ('odd "quotes" and 3', "warning")
    assert "ZeroDivisionError" in broke["exception"]
    assert {line["process"] for line in (ours, library, broke)} == {"router-0"}
    assert all("timestamp" in line for line in (ours, library, broke))
