"""The offline tool agrees with a live router; faults of the input name its line or file."""

import json
from pathlib import Path

import pytest
from google.protobuf.json_format import MessageToJson

from registry.cli.output import print_history
from router.cli.assign_offline import assigned_arms
from router.cli.commands import app
from tests.in_process import run_command
from tests.router.command_line import run_router
from tests.router.samples import deployment, spec
from tests.router.world import open_world
from tests.stack.deployed import open_deployed
from understudy.client.async_scoring_client import AsyncScoringClient
from understudy.control.wire import deployment_to_wire
from understudy.domain.changes import SetCanary
from understudy.domain.deployments import Challenger
from understudy.registry.v1 import registry_pb2
from understudy.runtime.exit_codes import OK, UNAVAILABLE, USAGE
from understudy.runtime.terminal.output_option import Format

DECLARED = deployment(challengers=(Challenger(2, 3_000), Challenger(3, 1_500)), salt="offline")
UNITS = [f"u{index}" for index in range(60)] + ["Zo\u00eb", "a b", "\u4e2d"]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    file = tmp_path / "revision.json"
    file.write_text(MessageToJson(deployment_to_wire(DECLARED)))
    return file


@pytest.mark.virtual_time
async def test_the_command_agrees_with_a_live_router(saved: Path) -> None:
    async with open_world() as world:
        await world.deploy(
            DECLARED,
            ready={1: ["one"], 2: ["two"], 3: ["three"]},
            specs=[spec(1), spec(2), spec(3)],
        )
        answers = [await world.score("any", unit_key=unit) for unit in UNITS]

    done = run_command(app, "assign", "--deployment", str(saved), given="\n".join(UNITS) + "\n")

    printed = [line.split("\t") for line in done.stdout.splitlines()]
    assert done.exit_code == OK, done.stderr
    assert [(unit, int(version)) for unit, _, version in printed] == [
        (unit, answer.served_by.version) for unit, answer in zip(UNITS, answers, strict=True)
    ]
    assert {arm for _, arm, _ in printed} == {"champion", "challenger"}


def test_the_output_of_the_registrys_history_can_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    print_history(
        [registry_pb2.RevisionEntry(deployment=deployment_to_wire(DECLARED))], Format.JSON
    )
    file = tmp_path / "revision.json"
    file.write_text(json.dumps(json.loads(capsys.readouterr().out)[0]["deployment"]))

    done = run_command(app, "assign", "--deployment", str(file), given="u1")

    assert done.exit_code == OK, done.stderr
    assert done.stdout.startswith("u1\t")


def test_windows_line_ends_are_not_part_of_a_key() -> None:
    plain = [arm for _, arm in assigned_arms(DECLARED, [b"u1\n", b"u2"])]

    assert list(assigned_arms(DECLARED, [b"u1\r\n", b"u2\r\n"])) == [
        ("u1", plain[0]),
        ("u2", plain[1]),
    ]


@pytest.mark.parametrize(
    ("words", "given", "code", "named"),
    [
        ((), "u1", USAGE, "MODEL"),
        (("fraud", "--registry", "127.0.0.1:1"), "u1", UNAVAILABLE, "registry"),
        (("--deployment", "nowhere.json"), "u1", USAGE, "nowhere.json"),
        (("--deployment", "SAVED"), "u1\n\nu3\n", USAGE, "line 2"),
        (("--deployment", "SAVED"), "x" * 257, USAGE, "257 characters"),
        (("--deployment", "SAVED"), "\udcff", USAGE, "UTF-8"),
    ],
)
def test_input_that_cannot_be_assigned_is_reported_in_one_line(
    saved: Path, words: tuple[str, ...], given: str, code: int, named: str
) -> None:
    done = run_command(
        app, "assign", *(str(saved) if w == "SAVED" else w for w in words), given=given
    )

    assert done.exit_code == code
    assert named in done.stderr
    assert "Traceback" not in done.stderr


def test_an_edited_revision_is_refused(saved: Path) -> None:
    content = json.loads(saved.read_text())
    saved.write_text(json.dumps({**content, "salt": "another"}))

    done = run_command(app, "assign", "--deployment", str(saved), given="u1")

    assert done.exit_code == USAGE
    assert "digest" in done.stderr


@pytest.mark.long
async def test_a_revision_of_the_registry_assigns_like_its_routers(tmp_path: Path) -> None:
    async with open_deployed(tmp_path / "s", versions=2) as deployed:
        await deployed.operator.until_settled(
            await deployed.operator.change(SetCanary(2, 4_000), reason="a challenger")
        )
        addresses, units = deployed.stack.addresses, deployed.units[:50]
        async with AsyncScoringClient(addresses.router, timeout_s=60.0) as client:
            answers = [await client.score("cancer", {"patient": unit}) for unit in units]
        words = ("assign", "cancer", "--registry", addresses.registry)
        now = run_router(*words, given="\n".join(units))
        first = run_router(*words, "--revision", "1", given="\n".join(units))
        unknown = run_router("assign", "made-up", "--registry", addresses.registry, given="u1")

    assert [int(line.split("\t")[2]) for line in now.stdout.splitlines()] == [
        answer.served_by.version for answer in answers
    ]
    assert {line.split("\t")[2] for line in first.stdout.splitlines()} == {"1"}
    assert (unknown.returncode, "made-up" in unknown.stderr) == (USAGE, True)
