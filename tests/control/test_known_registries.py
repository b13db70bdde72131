"""The links by which commands find the access to a stack's registry."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from understudy.control.known_registries import known_folder, made_known

HERE = "127.0.0.1:8500"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "access").mkdir()
    return tmp_path / "access"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path / "home")}


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.mark.parametrize("listen", [HERE, "localhost:8500", "0.0.0.0:8500", "[::]:8500"])
@pytest.mark.parametrize("called", [HERE, "localhost:8500"])
def test_a_running_stack_is_found_by_each_name_of_this_machine(
    listen: str, called: str, folder: Path, environment: dict[str, str]
) -> None:
    with made_known(listen, folder, environment) as is_known:
        found = known_folder(called, environment)

    assert is_known
    assert found == folder
    assert known_folder(called, environment) is None


def test_other_addresses_and_other_users_have_no_access(
    folder: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    with made_known(HERE, folder, environment):
        others = [
            known_folder("127.0.0.1:8501", environment),
            known_folder("bank.example:8500", environment),
            known_folder(HERE, {"HOME": str(tmp_path / "other")}),
            known_folder(HERE, {}),
            known_folder("unix:/run/registry.sock", environment),
        ]

    assert others == [None] * 5


def test_the_link_of_a_stack_that_was_killed_leads_nowhere(
    folder: Path, environment: dict[str, str]
) -> None:
    with made_known(HERE, folder, environment):
        (link,) = Path(environment["HOME"]).rglob(HERE)
    (folder / "in-use").touch()
    link.symlink_to(folder)

    assert known_folder(HERE, environment) is None


def test_an_older_stack_leaves_the_link_of_its_successor(
    folder: Path, environment: dict[str, str], opened: ExitStack, tmp_path: Path
) -> None:
    (tmp_path / "newer").mkdir()
    with made_known(HERE, folder, environment):
        opened.enter_context(made_known(HERE, tmp_path / "newer", environment))

    assert known_folder(HERE, environment) == tmp_path / "newer"


@pytest.mark.parametrize("home", ["", "relative", "/proc/nowhere"])
def test_a_user_without_a_state_directory_is_told(home: str, folder: Path) -> None:
    with made_known(HERE, folder, {"HOME": home}) as is_known:
        assert not is_known


def test_a_relative_state_directory_counts_for_nothing(
    folder: Path, environment: dict[str, str]
) -> None:
    with made_known(HERE, folder, environment | {"XDG_STATE_HOME": "state"}):
        assert known_folder(HERE, environment) == folder
