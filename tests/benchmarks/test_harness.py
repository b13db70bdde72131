"""The benchmark harness: parsing of h2load's output, its own output, and its errors."""

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import Result

from benchmarks.__main__ import find_scenarios, main
from benchmarks.h2load import Counted, read_counts, read_latencies, write_frame
from benchmarks.measure import Measured, median_cpu_us, median_ratio
from benchmarks.rows import Row, write_rows
from tests.in_process import run_command
from understudy.domain.errors import UnavailableError
from understudy.runtime import exit_codes
from understudy.scoring.v1 import scoring_pb2

OUTPUT = """
finished in 2.00s, 6170.50 req/s, 826.33KB/s
requests: 12341 total, 12405 started, 12341 done, 12341 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 12343 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 1.61MB (1692333) total, 36.45KB (37323) headers (space savings 96.27%), 952.09KB (974939) data
                     min         max         mean         sd        +/- sd
time for request:      281us     21.53ms     10.34ms      2.30ms    78.42%
"""
NONE = np.empty(0)


def counted(requests: int, *, seconds: float = 1.0) -> Counted:
    return Counted(requests, seconds, 0, requests * 80, NONE)


def test_the_summary_of_h2load_is_read() -> None:
    found = read_counts(OUTPUT, np.array([0.01, 0.03]))

    assert (found.requests, found.seconds, found.failed) == (12341, 2.0, 0)
    assert found.answer_bytes == 974939
    assert found.requests_per_s == pytest.approx(6170.5)
    assert found.mean_latency_s == pytest.approx(0.02)
    assert found.latency_s(100) == pytest.approx(0.03)


def test_lost_and_refused_calls_count_as_failed() -> None:
    text = OUTPUT.replace("0 failed, 0 errored, 0 timeout", "1 failed, 2 errored, 3 timeout")

    assert read_counts(text.replace("12343 2xx", "12340 2xx"), NONE).failed == 7


def test_unexpected_output_is_an_error_that_shows_it() -> None:
    with pytest.raises(UnavailableError, match="could not connect"):
        read_counts("could not connect to host", NONE)


def test_latencies_are_read_from_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("1700000000000000\t200\t1500\n1700000000001000\t200\t2500\n")

    assert read_latencies(log).tolist() == [0.0015, 0.0025]
    assert read_latencies(tmp_path / "none").size == 0


def test_a_frame_is_flag_length_and_message(tmp_path: Path) -> None:
    request = scoring_pb2.ScoreRequest(model="m")

    body = write_frame(tmp_path / "body", request, times=2).read_bytes()

    assert body == b"\0\0\0\0\x03" + request.SerializeToString() + b"\0\0\0\0\x03\x0a\x01m"


def test_a_ratio_is_taken_round_by_round_and_then_the_median() -> None:
    ours = [Measured(counted(n), {}, None) for n in (50, 10, 80)]
    floor = [Measured(counted(n), {}, None) for n in (100, 100, 100)]

    assert median_ratio(ours, floor) == 0.5


def test_idle_processes_are_left_out_of_the_cpu_times() -> None:
    measured = [Measured(counted(1), {"router": 300.04, "idle": 0.2}, None)]

    assert median_cpu_us(measured) == {"router": 300.0}


def test_rows_are_a_list_that_names_machine_commit_and_date(tmp_path: Path) -> None:
    write_rows(tmp_path / "latest.json", [Row(name="score", requests_per_s=1.0, goal="many")])

    (entry,) = json.loads((tmp_path / "latest.json").read_text())

    asked = ("name", "requests_per_s", "ratio_to_floor", "cpu_us_per_request", "mean_batch_rows")
    assert {*asked, "goal", "machine", "commit", "date"} <= set(entry)


def test_scenarios_are_discovered_automatically() -> None:
    assert {"score", "latency", "mirror", "stream", "batch", "overload", "width"} <= set(
        find_scenarios()
    )


def benchmarks(*words: str, **environment: str) -> Result:
    app = typer.Typer()
    app.command()(main)
    return run_command(app, *words, environment=environment)


def test_without_h2load_the_error_tells_how_to_install_it(tmp_path: Path) -> None:
    done = benchmarks("--only", "score", PATH=str(tmp_path))

    assert done.exit_code == exit_codes.UNAVAILABLE
    assert done.stderr.count("\n") == 1
    assert "apt install nghttp2-client" in done.stderr


def test_an_unknown_scenario_is_refused_by_name() -> None:
    done = benchmarks("--only", "scor")

    assert done.exit_code == exit_codes.USAGE
    assert "no scenario scor" in done.stderr
