"""The scorer's use of the machine: CPUs, addresses, priorities."""

import asyncio
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from scorer.decisions.fleet import Place
from scorer.host.addresses import Addresses
from scorer.host.priority import may_set_down_to, set_nice
from scorer.machine.cgroup import cgroup_cpus
from tests.artifact.models import doubling_artifact
from tests.scorer.conftest import StartHost
from tests.scorer.fake_registry import FakeRegistry
from tests.scorer.test_host import all_ready, deployment
from understudy.domain.errors import InvalidInputError
from understudy.domain.versions import VersionRef
from understudy.registry.v1 import registry_pb2 as pb

PLACE = Place(VersionRef("fraud", 3), 0)
AFFINITY = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("files", "cpus"),
    [
        ({"cpu.max": "100000 100000"}, 1),
        ({"cpu.max": "50000 100000"}, 1),
        ({"cpu.max": "max 100000"}, AFFINITY),
        ({"cpu.max": "9900000 100000"}, AFFINITY),
        ({"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, AFFINITY),
        ({"cpu.max": "nonsense"}, AFFINITY),
        ({"cpu.max": "a b"}, AFFINITY),
        ({"cpu.max": "100000 0"}, AFFINITY),
        ({}, AFFINITY),
    ],
)
def test_cpus_are_those_of_the_cgroup(files: dict[str, str], cpus: int, tmp_path: Path) -> None:
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)

    assert cgroup_cpus(root=tmp_path, own=tmp_path / "own") == cpus


MANY = 64
ONE, TWO, FOUR, UNLIMITED = "100000", "200000", "400000", "-1"


@pytest.mark.parametrize(
    ("own", "quota_us", "cpus"),
    [
        ("0::/a/b\n", {"a/b": TWO}, 2),
        ("0::/a/b\n", {"a": TWO, "a/b": FOUR}, 2),
        ("0::/a/b\n", {"": TWO, "a": FOUR, "a/b": "max"}, 2),
        ("0::/a/b\n", {"a/b/c": ONE, "other": ONE}, MANY),
        ("0::/../../other\n", {"": FOUR, "other": ONE}, 4),
        ("1:name=systemd:/s\n4:cpu,cpuacct:/a/b\n", {"cpu/a": TWO, "cpu/a/b": UNLIMITED}, 2),
        ("4:cpu,cpuacct:/a\n", {"cpu,cpuacct/a": TWO}, 2),
        ("4:cpuacct:/a\n5:cpu:/b\n0::/c\n", {"cpu/a": ONE, "cpu/b": TWO}, 2),
        ("4:cpu:/docker/1234\n", {"cpu": TWO}, 2),  # the process sees its own cgroup as the root
    ],
)
def test_the_smallest_quota_up_to_the_root_applies(
    own: str, quota_us: dict[str, str], cpus: int, tmp_path: Path
) -> None:
    (tmp_path / "own").write_text(own)
    for name, quota in quota_us.items():
        folder = tmp_path / name
        folder.mkdir(parents=True, exist_ok=True)
        if name.startswith("cpu"):
            (folder / "cpu.cfs_quota_us").write_text(f"{quota}\n")
            (folder / "cpu.cfs_period_us").write_text("100000\n")
        else:
            (folder / "cpu.max").write_text(f"{quota} 100000\n")

    assert cgroup_cpus(MANY, root=tmp_path, own=tmp_path / "own") == cpus


def test_a_given_number_of_cpus_overrides_our_affinity(tmp_path: Path) -> None:
    assert cgroup_cpus(AFFINITY + 1, root=tmp_path, own=tmp_path / "own") == AFFINITY + 1


def test_a_place_has_the_same_socket_for_ever(tmp_path: Path) -> None:
    first = Addresses("unix", tmp_path).address_of(PLACE)

    assert Addresses("unix", tmp_path).address_of(PLACE) == first
    assert first.startswith("unix:/")
    assert Addresses("unix", tmp_path).address_of(Place(PLACE.ref, 1)) != first


def test_socket_paths_fit_the_kernel_limit_however_deep_the_folder(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 90)
    long_name = Place(VersionRef("m" * 63, 999_999_999), 63)

    paths = {
        Addresses("unix", deep).address_of(place).removeprefix("unix:")
        for place in (PLACE, long_name)
    }

    assert len(paths) == 2
    assert max(map(len, paths)) <= 100


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder for sockets whose own folder is too deep; its name can be guessed."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    address = Addresses("unix", Path("/deep") / ("d" * 90)).address_of(PLACE)
    folder = Path(address.removeprefix("unix:")).parent
    assert folder.parent == tmp_path
    return folder


def open_to_others(folder: Path) -> None:
    folder.chmod(0o755)


def linked(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to("elsewhere")


def a_file(folder: Path) -> None:
    folder.rmdir()
    folder.touch()


def of_another_user(folder: Path) -> None:
    os.chown(folder, 65_534, -1)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (open_to_others, "mode 0755"),
        (linked, "a link"),
        (a_file, "File exists"),
        pytest.param(
            of_another_user,
            "a folder of user 65534",
            marks=pytest.mark.skipif(os.geteuid() != 0, reason="giving away takes a right"),
        ),
    ],
)
def test_a_folder_that_another_user_may_have_prepared_is_refused(
    spoil: Callable[[Path], None], words: str, stand_in: Path
) -> None:
    spoil(stand_in)

    with pytest.raises(InvalidInputError, match=f"read {words}; accepted: {stand_in} as"):
        Addresses("unix", Path("/deep") / ("d" * 90))


def test_an_ip_of_another_machine_is_refused_at_once() -> None:
    with pytest.raises(
        InvalidInputError, match=r"scorer_address: read 192\.0\.2\.1 .*; accepted: unix"
    ):
        Addresses("192.0.2.1", Path("unused"))


def test_a_tcp_place_keeps_its_port() -> None:
    addresses = Addresses("127.0.0.1", Path("unused"))

    first = addresses.address_of(PLACE)

    assert addresses.address_of(PLACE) == first
    assert first.startswith("127.0.0.1:")
    assert addresses.address_of(Place(PLACE.ref, 1)) != first


def test_metrics_ports_are_consecutive_and_stable() -> None:
    addresses = Addresses("127.0.0.1", Path("unused"), first_metrics_port=9_100)
    other = Place(PLACE.ref, 1)

    ports = [addresses.metrics_port_of(place) for place in (PLACE, other, PLACE)]

    assert ports == [9_100, 9_101, 9_100]
    addresses.release(PLACE)
    assert addresses.metrics_port_of(Place(PLACE.ref, 2)) == 9_100
    assert Addresses("127.0.0.1", Path("unused")).metrics_port_of(PLACE) is None


async def test_a_process_can_be_made_nicer_thread_by_thread() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "import sys; sys.stdin.read()"), stdin=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None

    set_nice(7, process.pid)

    assert os.getpriority(os.PRIO_PROCESS, process.pid) == 7
    process.stdin.close()
    await process.wait()
    set_nice(8, process.pid)  # the process has ended: nothing to do


def test_root_may_raise_priorities_again() -> None:
    if os.geteuid() == 0:
        assert may_set_down_to(0)
    assert may_set_down_to(20)


@pytest.mark.long
async def test_a_version_that_only_shadows_runs_at_its_own_priority(
    registry: FakeRegistry, start_host: StartHost, artifact: Path, tmp_path: Path
) -> None:
    versions = [
        registry.version(VersionRef("doubler", 1), artifact),
        registry.version(VersionRef("doubler", 2), doubling_artifact(tmp_path / "b")),
    ]
    shadows = [pb.Shadow(version=2, sample_bp=10_000)]
    await registry.publish(versions, [deployment(1, shadows=shadows)])

    await start_host(SCORER_HOST_SHADOW_NICE="6")

    processes = await registry.until_reported(all_ready(2))
    niceness = {p.ref.number: os.getpriority(os.PRIO_PROCESS, p.pid) for p in processes}
    base = os.getpriority(os.PRIO_PROCESS, 0)
    assert niceness == {1: base, 2: 6}


@pytest.mark.long
@pytest.mark.skipif(os.geteuid() != 0, reason="raising a priority again takes a right")
async def test_a_scorer_that_loads_next_to_others_leaves_its_idle_class_when_ready(
    registry: FakeRegistry, start_host: StartHost, artifact: Path, tmp_path: Path
) -> None:
    first = registry.version(VersionRef("doubler", 1), artifact)
    second = registry.version(VersionRef("doubler", 2), doubling_artifact(tmp_path / "b"))
    await registry.publish([first], [deployment(1)])
    await start_host()
    await registry.until_reported(all_ready(1))
    seen: dict[int, set[int]] = {1: set(), 2: set()}

    def see(processes: list[pb.ScorerProcess]) -> bool:
        for process in processes:
            if process.pid:
                seen[process.ref.number].add(os.sched_getscheduler(process.pid))
        return all_ready(2)(processes)

    await registry.publish([first, second], [deployment(1, standby=[2])])
    processes = await registry.until_reported(see)

    assert seen[1] == {os.SCHED_OTHER}
    assert os.SCHED_IDLE in seen[2]
    for process in processes:
        assert os.sched_getscheduler(process.pid) == os.SCHED_OTHER
        assert os.getpriority(os.PRIO_PROCESS, process.pid) == 0


@pytest.mark.long
async def test_loading_on_idle_cpus_only_can_be_turned_off(
    registry: FakeRegistry, start_host: StartHost, artifact: Path, tmp_path: Path
) -> None:
    first = registry.version(VersionRef("doubler", 1), artifact)
    second = registry.version(VersionRef("doubler", 2), doubling_artifact(tmp_path / "b"))
    await registry.publish([first, second], [deployment(1, standby=[2])])

    await start_host(SCORER_HOST_LOAD_IDLE_S="0")

    await registry.until_reported(all_ready(2))


async def test_replicas_and_tcp_addresses_are_served(
    registry: FakeRegistry, start_host: StartHost, artifact: Path
) -> None:
    await registry.publish([registry.version(VersionRef("doubler", 1), artifact)], [deployment(1)])

    await start_host("--replicas", "2", SCORER_HOST_SCORER_ADDRESS="127.0.0.1")

    processes = await registry.until_reported(all_ready(2))
    assert len({p.address for p in processes}) == 2
    for process in processes:
        assert process.address.startswith("127.0.0.1:")
        async with grpc.aio.insecure_channel(process.address) as channel:
            await asyncio.wait_for(channel.channel_ready(), 60)
