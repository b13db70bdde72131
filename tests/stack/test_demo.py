"""The two commands of the stack, run for real from start to end, as an operator does."""

import json
import os
import signal
import stat
from asyncio.subprocess import Process
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc
import psutil
import pytest
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from tests.stack.understudy_command import lines_until, output_of, running
from tests.stack.waiting import is_running, until_gone, while_progress
from understudy.client.async_scoring_client import AsyncScoringClient
from understudy.control.access import access_of_environment
from understudy.logs.reader import open_logs
from understudy.registry.v1 import registry_pb2, registry_pb2_grpc
from understudy.runtime import exit_codes

pytestmark = pytest.mark.slow


async def score_from_shell(*options: str) -> str:
    """Return the output of `understudy score cancer --entity patient=17`."""
    async with running("score", "cancer", "--entity", "patient=17", *options) as process:
        output = await output_of(process)
    assert process.returncode == exit_codes.OK, output
    return output


def descendants(process: Process) -> list[int]:
    return [child.pid for child in psutil.Process(process.pid).children(recursive=True)]


def open_to_others(root: Path) -> set[str]:
    """Return the files and folders to which the group or others have any access."""
    modes = {path: path.lstat().st_mode for path in (root, *root.rglob("*"))}
    return {f"{stat.filemode(mode)} {path}" for path, mode in modes.items() if mode & 0o077}


@pytest.mark.long
async def test_the_demo_runs_completely_and_every_check_holds(
    tmp_path: Path, unused_address: Callable[[], str]
) -> None:
    root, router, registry = tmp_path / "d", unused_address(), unused_address()

    async with running("demo", "--keep", "--dir", str(root), "--rate", "400") as process:
        lines = await lines_until(process, "ScoringClient(")
        address = next(line.split()[1] for line in lines if line.startswith("router "))
        async with AsyncScoringClient(address, timeout_s=60.0) as client:
            kept = await client.score("cancer", {"patient": "17"})
        from_shell = await score_from_shell("--router", address, "--output", "json")
        open_while_running = open_to_others(root)
        as_table = await score_from_shell("--router", address, "--feature", "worst_radius=30")
        process.send_signal(signal.SIGINT)
        await output_of(process)

    text = "".join(lines)
    assert process.returncode == exit_codes.OK, text
    for said in (
        "ONNX (float32) differs from scikit-learn by",
        "refused, because it lacks data.training.content",
        "registered cancer@3",
        "@2 is promoted",
        "rolled back",
        "mirror ledger: offered",
        "AUC on",
        "duckdb.sql(",
        "holds  no call failed",
    ):
        assert said in text, said
    assert "BROKEN" not in text
    assert open_while_running | open_to_others(root) == set()
    assert json.loads(from_shell)["score"] == kept.score
    assert "cancer@1, champion" in as_table
    with open_logs(root / "logs") as logs:
        (counted,) = logs.rows("SELECT count(*) AS rows, count(DISTINCT revision) AS n FROM score")
    assert counted["rows"] >= 4_000
    assert counted["n"] == 4

    # Its folder can be used again by another stack, also elsewhere: the router remembers the
    # scorers of the first one, which are gone, and the new ones are waited for.
    moved = root.rename(tmp_path / "moved")
    async with running(
        *("up", "--dir", str(moved), "--routers", "1"),
        *("--router-listen", router, "--registry-listen", registry),
    ) as process:
        await lines_until(process, "Ctrl-C stops it")
        async with AsyncScoringClient(router, timeout_s=60.0) as client:
            again = await client.score("cancer", {"patient": "17"})
    assert again.score == kept.score
    assert again.served_by.version == kept.served_by.version


@pytest.mark.long
async def test_a_demo_that_cannot_start_reports_the_cause(tmp_path: Path) -> None:
    async with running("demo", "--dir", str(tmp_path / "d"), ROUTER_WORKERSS="2") as process:
        output = await output_of(process)

    assert process.returncode == exit_codes.USAGE
    assert "ROUTER_WORKERSS" in output


async def test_a_demo_without_a_folder_uses_a_temporary_one_and_names_it() -> None:
    with TemporaryDirectory() as short:  # sockets below a longer path would have no name
        here, temporary = Path(short) / "here", Path(short) / "t"
        here.mkdir()
        temporary.mkdir()

        async with running("demo", cwd=here, TMPDIR=str(temporary)) as process:
            lines = await lines_until(process, "Files go below")
            process.send_signal(signal.SIGINT)
            await while_progress(process.communicate())

        (folder,) = temporary.glob("understudy-demo-*")
        assert str(folder) in lines[-1]
        assert list(here.iterdir()) == []
    assert process.returncode == exit_codes.INTERRUPTED


async def test_a_demo_leaves_a_folder_with_files_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")

    async with running("demo", "--dir", str(tmp_path)) as process:
        output = await output_of(process)

    assert process.returncode == exit_codes.USAGE
    assert "a new or empty folder" in output


@pytest.mark.long
@pytest.mark.fault
async def test_ctrl_c_in_the_middle_of_a_demo_stops_every_process(tmp_path: Path) -> None:
    async with running("demo", "--dir", str(tmp_path / "d")) as process:
        await lines_until(process, "champion @1, shadow @3")
        children = descendants(process)
        assert len(children) >= 6  # registry, host, two scorers, router, two workers

        process.send_signal(signal.SIGINT)
        await output_of(process)

        await until_gone(children)
    assert process.returncode == exit_codes.INTERRUPTED


@pytest.mark.long
async def test_up_restarts_a_registry_that_died(
    tmp_path: Path, unused_address: Callable[[], str]
) -> None:
    router, registry = unused_address(), unused_address()

    async with running(
        *("up", "--dir", str(tmp_path / "u"), "--routers", "1"),
        *("--router-listen", router, "--registry-listen", registry),
    ) as process:
        await lines_until(process, "Ctrl-C stops it")
        served_by = next(
            pid for pid in descendants(process) if "registry" in psutil.Process(pid).cmdline()
        )
        os.kill(served_by, signal.SIGKILL)
        await until_gone([served_by])

        async with access_of_environment(registry).open_channel(registry) as channel:
            stub = registry_pb2_grpc.RegistryServiceStub(channel)
            answer = await while_progress(
                stub.ListVersions(registry_pb2.ListVersionsRequest(), wait_for_ready=True)
            )
        children = descendants(process)
        process.send_signal(signal.SIGTERM)
        await output_of(process)
        await until_gone(children)

    assert list(answer.versions) == []
    assert process.returncode == exit_codes.OK


@pytest.mark.fault
@pytest.mark.parametrize(
    "number", [pytest.param(signal.SIGINT, marks=pytest.mark.long), signal.SIGTERM]
)
async def test_up_serves_until_told_to_stop(
    tmp_path: Path, number: signal.Signals, unused_address: Callable[[], str]
) -> None:
    router, registry = unused_address(), unused_address()

    async with running(
        *("up", "--dir", str(tmp_path / "u"), "--routers", "1"),
        *("--router-listen", router, "--registry-listen", registry),
    ) as process:
        lines = await lines_until(process, "Ctrl-C stops it")
        children = descendants(process)
        assert all(is_running(pid) for pid in children)
        with grpc.insecure_channel(router) as channel:  # the first request of grpcurl
            services = ProtoReflectionDescriptorDatabase(channel).get_services()
        assert "understudy.scoring.v1.ScoringService" in services

        process.send_signal(number)
        await output_of(process)

        await until_gone(children)
    assert process.returncode == exit_codes.OK
    assert sum("grpcurl -plaintext" in line for line in lines) == 1
    assert sum("ScoringClient(" in line for line in lines) == 1
