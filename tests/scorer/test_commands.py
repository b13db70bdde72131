"""The command line: one clear line and an exit code for each fault, before a port is bound."""

import asyncio
import json
import os
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.request import urlopen

import pytest

from scorer.commands import app
from tests.artifact.models import doubling_model
from tests.in_process import run_command
from tests.scorer.conftest import StartScorer
from tests.scorer.serving import infer_request
from tests.scorer.test_faults import caller, rows


async def scorer(*arguments: str, **env: str) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "scorer", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **env},
    )
    out, err = await asyncio.wait_for(process.communicate(), 120)
    return process.returncode, out.decode(), err.decode()


def refusal(*words: str, **environment: str) -> tuple[int, str, str]:
    """Run a command that ends before it serves, in this process."""
    ended = run_command(app, *words, environment=environment)
    return ended.exit_code, ended.stdout, ended.stderr


@pytest.mark.parametrize(
    ("arguments", "env", "words"),
    [
        (("--name", "Bad Name"), {}, ("--name", "Bad Name", "1 to 63")),
        (("--name", "m"), {"SCORER_GATHER_MS": "-1"}, ("SCORER_GATHER_MS", "-1")),
        (("--name", "m"), {"SCORER_LISTN": "x"}, ("SCORER_LISTN", "SCORER_LISTEN")),
        (("--name", "m", "--metrics-port", "70000"), {}, ("--metrics-port", "70000")),
    ],
)
def test_bad_settings_end_with_64_and_a_line_that_names_them(
    arguments: tuple[str, ...], env: dict[str, str], words: tuple[str, ...]
) -> None:
    code, _, err = refusal("serve", "nowhere.onnx", *arguments, **env)

    assert code == 64
    assert len(err.strip().splitlines()) == 1
    for word in words:
        assert word in err


def test_host_settings_do_not_affect_a_scorer() -> None:
    code, out, _ = refusal(
        *("serve", "x", "--name", "m", "--print-settings", "--output", "json"),
        SCORER_HOST_REPLICAS="2",
    )

    assert code == 0
    assert json.loads(out)["max_batch_rows"] == 256


def test_host_settings_that_contradict_each_other_are_refused() -> None:
    code, _, err = refusal(
        *("host", "--dir", "nowhere"), SCORER_HOST_DRAIN_GRACE_S="20", SCORER_HOST_KILL_AFTER_S="10"
    )

    assert code == 64
    assert "drain_grace_s must be below kill_after_s" in err


def test_a_setting_without_effect_is_refused() -> None:
    code, _, err = refusal(
        *("serve", "nowhere.onnx", "--name", "m"),
        SCORER_MEMORY_PATTERN="true",
        SCORER_INTER_OP_THREADS="2",
    )

    assert code == 64
    assert "memory_pattern needs inter_op_threads = 1" in err


def test_a_missing_artifact_ends_with_64(tmp_path: Path) -> None:
    code, out, err = refusal(
        "serve", str(tmp_path / "no.onnx"), "--name", "m", "--listen", f"unix:{tmp_path}/s"
    )

    assert (code, out) == (64, "")
    assert err == f"understudy: artifact {tmp_path / 'no.onnx'} does not exist\n"


async def test_an_invalid_artifact_ends_with_65(tmp_path: Path) -> None:
    (tmp_path / "no.onnx").write_text("no model")

    code, out, _ = await scorer(
        "serve", str(tmp_path / "no.onnx"), "--name", "m", "--listen", f"unix:{tmp_path}/s"
    )

    assert code == 65
    last = json.loads(out.strip().splitlines()[-1])
    assert last["event"] == "artifact_refused"
    assert "an ONNX model" in last["why"]


@asynccontextmanager
async def taken_port() -> AsyncIterator[int]:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()


async def test_a_port_in_use_gives_one_line_and_69(tmp_path: Path) -> None:
    async with taken_port() as port:
        code, out, err = await scorer(
            *("serve", str(doubling_model(tmp_path / "m.onnx"))),
            *("--name", "m", "--listen", f"127.0.0.1:{port}"),
        )

    assert code == 69
    assert f"127.0.0.1:{port}" in err
    assert "Traceback" not in out + err


async def test_a_metrics_port_in_use_gives_one_line_and_69(tmp_path: Path) -> None:
    async with taken_port() as port:
        code, out, err = await scorer(
            *("serve", str(doubling_model(tmp_path / "m.onnx"))),
            *("--name", "m", "--listen", f"unix:{tmp_path}/s", "--metrics-port", str(port)),
        )

    assert code == 69
    assert (
        err.strip()
        == f"understudy: address 127.0.0.1:{port} is unavailable: cannot be bound; is it in use?"
    )
    assert "Traceback" not in out


async def test_a_host_whose_sockets_others_can_reach_ends_with_64_before_it_binds() -> None:
    async with taken_port() as port:  # with 69 it would end at the port
        with TemporaryDirectory() as short:  # with too long a path the sockets would be elsewhere
            sockets = Path(short) / "sockets"
            sockets.mkdir()
            sockets.chmod(0o755)  # whatever the mask of this process
            where = ("--dir", short, "--listen", f"127.0.0.1:{port}")

            code, out, err = await scorer("host", *where, "--registry", "127.0.0.1:1")

    assert code == 64
    assert len(err.strip().splitlines()) == 1
    assert f"read mode 0755; accepted: {short}/sockets as a folder of our user" in err
    assert "Traceback" not in out + err


async def test_files_of_a_scorer_are_accessible_only_to_its_user(tmp_path: Path) -> None:
    status = tmp_path / "status.json"
    (tmp_path / "no.onnx").write_text("no model")

    code, _, _ = await scorer(
        *("serve", str(tmp_path / "no.onnx"), "--name", "m", "--listen", f"unix:{tmp_path}/s"),
        *("--status-file", str(status)),
    )

    assert code == 65
    assert stat.S_IMODE(status.stat().st_mode) == 0o600


async def test_files_of_a_host_are_accessible_only_to_its_user(tmp_path: Path) -> None:
    folder = tmp_path / "scorers"
    async with taken_port() as port:
        code, _, _ = await scorer("host", "--dir", str(folder), "--listen", f"127.0.0.1:{port}")

    assert code == 69, "it ends early, at the port that is taken"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


async def test_metrics_count_requests_and_failures(
    start_scorer: StartScorer, artifact: Path, unused_tcp_port: int
) -> None:
    scorer_ = await start_scorer(artifact, "--metrics-port", str(unused_tcp_port))
    async with caller(scorer_.address) as calls:
        await calls.infer(infer_request(rows(3)))
        bad = infer_request(rows(1))
        bad.inputs[0].datatype = "INT8"
        await calls.code_of(bad)

    text = await asyncio.to_thread(
        lambda: urlopen(f"http://127.0.0.1:{unused_tcp_port}/metrics").read().decode()
    )

    for line in (
        "understudy_scorer_requests_total 1.0",
        "understudy_scorer_rows_total 3.0",
        'understudy_scorer_failures_total{status="INVALID_ARGUMENT"} 1.0',
        "understudy_scorer_ready 1.0",
        'understudy_scorer_batch_rows_bucket{le="4.0"} 1.0',
        'understudy_scorer_run_seconds_bucket{le="5e-05"}',
        'understudy_scorer_model_info{artifact_digest="',
    ):
        assert line in text, line
