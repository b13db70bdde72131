"""Failures to start a scorer: disk full, registry away. Real processes."""

import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.artifact.models import doubling_artifact
from tests.scorer.conftest import RunningProcess, StartHost
from tests.scorer.fake_registry import FakeRegistry
from tests.scorer.test_host import READY, all_ready, deployment, infer
from tests.stack.waiting import while_progress
from understudy.domain.versions import VersionRef
from understudy.registry.v1 import registry_pb2 as pb
from understudy.runtime.exit_codes import USAGE

pytestmark = [pytest.mark.fault, pytest.mark.long]

LARGE_BYTES = 200_000
RESTARTING = pb.SCORER_STATE_RESTARTING
GAVE_UP = pb.SCORER_STATE_GAVE_UP

Mend = Callable[[], object]


def large_artifact(folder: Path) -> Path:
    doubling_artifact(folder)
    (folder / "notes.bin").write_bytes(os.urandom(LARGE_BYTES))
    return folder


def of_version(number: int, processes: list[pb.ScorerProcess]) -> pb.ScorerProcess:
    return next(p for p in processes if p.ref.number == number)


def fails_with(words: str, number: int = 2) -> Callable[[list[pb.ScorerProcess]], bool]:
    return lambda processes: any(
        p.ref.number == number and p.state == RESTARTING and words in p.last_error
        for p in processes
    )


def disk_full(host: RunningProcess, folder: Path, version: pb.Version) -> Mend:
    """Limit the size of the host's files to below the artifact's, which acts like a full disk."""
    _, most = resource.prlimit(host.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(host.pid, resource.RLIMIT_FSIZE, (LARGE_BYTES // 2, most))
    return lambda: resource.prlimit(host.pid, resource.RLIMIT_FSIZE, (most, most))


def no_folder_for_the_artifact(host: RunningProcess, folder: Path, version: pb.Version) -> Mend:
    in_its_place = folder / "artifacts" / version.artifact_digest
    in_its_place.touch()
    return in_its_place.unlink


def no_file_for_the_expectation(host: RunningProcess, folder: Path, version: pb.Version) -> Mend:
    in_its_place = folder / "run" / "doubler@2.0.expect.json"
    in_its_place.mkdir()
    return in_its_place.rmdir


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (disk_full, "not started: [Errno 27]"),
        (no_folder_for_the_artifact, "not started: [Errno 17]"),
        (no_file_for_the_expectation, "not started: [Errno 21]"),
    ],
)
async def test_a_scorer_that_cannot_be_started_is_retried_without_affecting_others(
    spoil: Callable[[RunningProcess, Path, pb.Version], Mend],
    words: str,
    registry: FakeRegistry,
    start_host: StartHost,
    artifact: Path,
    tmp_path: Path,
) -> None:
    first = registry.version(VersionRef("doubler", 1), artifact)
    second = registry.version(VersionRef("doubler", 2), large_artifact(tmp_path / "b"))
    await registry.publish([first], [deployment(1)])
    host = await start_host(SCORER_HOST_RESTART_BUDGET="0", SCORER_HOST_LONGEST_BACK_OFF_S="0.1")
    (champion,) = await registry.until_reported(all_ready(1))
    mend = spoil(host, tmp_path / "host", second)

    await registry.publish([first, second], [deployment(1, standby=[2])])
    await registry.until_reported(fails_with(words))
    mend()
    processes = await registry.until_reported(all_ready(2))

    assert of_version(1, processes).pid == champion.pid
    assert of_version(2, processes).restarts == 0
    assert (await infer(champion.address) == 2).all()


async def test_a_registry_that_is_away_while_an_artifact_is_fetched_spends_no_budget(
    registry: FakeRegistry, start_host: StartHost, artifact: Path
) -> None:
    version = registry.version(VersionRef("doubler", 1), artifact)
    kept = dict(registry.files)
    registry.files.clear()
    await registry.publish([version], [deployment(1)])
    await start_host(SCORER_HOST_RESTART_BUDGET="0", SCORER_HOST_LONGEST_BACK_OFF_S="0.1")
    (waiting,) = await registry.until_reported(fails_with("registry is unavailable", 1))

    registry.files.update(kept)

    (process,) = await registry.until_reported(all_ready(1))
    assert waiting.restarts == 0
    assert (await infer(process.address) == 2).all()


async def test_a_silent_registry_does_not_delay_a_stop(
    registry: FakeRegistry, start_host: StartHost, artifact: Path
) -> None:
    registry.sends.clear()
    await registry.publish([registry.version(VersionRef("doubler", 1), artifact)], [deployment(1)])
    host = await start_host()
    await registry.until_fetching()

    assert await host.end() == 0

    assert registry.processes == []


async def test_a_host_refuses_the_settings_that_its_scorers_would_refuse(
    start_host: StartHost,
) -> None:
    host = await start_host(SCORER_STRANGER="read by scorers alone")

    assert await while_progress(host.process.wait()) == USAGE


def shadowing(version: int) -> pb.Deployment:
    """Return a deployment whose champion runs elsewhere."""
    return deployment(version + 1, shadows=[pb.Shadow(version=version, sample_bp=10_000)])


async def give_up(
    registry: FakeRegistry, start_host: StartHost, version: pb.Version
) -> pb.ScorerProcess:
    """Return the process of a shadow that is not restarted."""
    await registry.publish([version], [shadowing(1)])
    await start_host(SCORER_HOST_RESTART_BUDGET="0")
    (process,) = await registry.until_reported(all_ready(1))
    os.kill(process.pid, signal.SIGKILL)
    await registry.until_reported(lambda ps: [p.state for p in ps] == [GAVE_UP])
    return process


async def test_a_version_given_up_is_retried_when_a_new_revision_names_it(
    registry: FakeRegistry, start_host: StartHost, artifact: Path
) -> None:
    version = registry.version(VersionRef("doubler", 1), artifact)
    before = await give_up(registry, start_host, version)

    named_again = shadowing(1)
    named_again.revision = 2
    await registry.publish([version], [named_again])

    (after,) = await registry.until_reported(lambda ps: [p.state for p in ps] == [READY])
    assert after.pid != before.pid


async def test_a_shadow_given_up_is_retried_when_it_takes_traffic(
    registry: FakeRegistry, start_host: StartHost, artifact: Path
) -> None:
    version = registry.version(VersionRef("doubler", 1), artifact)
    before = await give_up(registry, start_host, version)

    await registry.publish([version], [deployment(1)])

    (after,) = await registry.until_reported(lambda ps: [p.state for p in ps] == [READY])
    assert after.pid != before.pid


async def test_a_version_that_takes_traffic_is_restarted_beyond_its_budget(
    registry: FakeRegistry, start_host: StartHost, artifact: Path
) -> None:
    budget = 1
    version = registry.version(VersionRef("doubler", 1), artifact)
    await registry.publish([version], [deployment(1)])
    await start_host(SCORER_HOST_RESTART_BUDGET=str(budget), SCORER_HOST_LONGEST_BACK_OFF_S="0.5")
    killed: set[int] = set()
    states: set[pb.ScorerState.ValueType] = set()

    def kill_each(processes: list[pb.ScorerProcess]) -> bool:
        states.update(each.state for each in processes)
        for each in processes:
            if each.state == READY and each.pid not in killed and len(killed) < budget + 2:
                killed.add(each.pid)
                os.kill(each.pid, signal.SIGKILL)
        return [(p.state, p.restarts) for p in processes] == [(READY, budget + 2)]

    (back,) = await registry.until_reported(kill_each)

    assert pb.SCORER_STATE_FAILING in states
    assert f"more than {budget} failures in 300 s" in back.last_error
    assert (await infer(back.address) == 2).all()


async def test_a_snapshot_of_the_same_revision_does_not_retry_a_version_given_up(
    registry: FakeRegistry, start_host: StartHost, artifact: Path, tmp_path: Path
) -> None:
    first = registry.version(VersionRef("doubler", 1), artifact)
    other = registry.version(VersionRef("other", 1), doubling_artifact(tmp_path / "b"))
    await give_up(registry, start_host, first)

    of_other = deployment(1)
    of_other.model = "other"
    await registry.publish([first, other], [shadowing(1), of_other])

    await registry.until_reported(lambda ps: [p.state for p in ps] == [GAVE_UP, READY])
