"""Settings of the whole suite."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator, Mapping

import pytest
from hypothesis import HealthCheck, settings

from tests.virtual_time import SkippingLoop, StoppedClockLoop
from understudy.runtime.free_port import free_port

# On a busy machine an example may take any time: no deadline per example.
settings.register_profile("dev", max_examples=50, deadline=None)
settings.register_profile(
    "ci",
    max_examples=100,
    deadline=None,
    derandomize=True,  # so that CI is repeatable
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def pytest_configure() -> None:
    """Let Ctrl-C reach the processes that tests start, which inherit a signal that is ignored.

    Shells start the jobs of scripts that run in the background with SIGINT ignored.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, LoopFactory]:
    """Choose the event loop of a test by its marker; see tests/virtual_time.py."""
    if item.get_closest_marker("virtual_time"):
        return {"virtual": SkippingLoop}
    if item.get_closest_marker("stopped_clock"):
        return {"stopped": StoppedClockLoop}
    return {"real": asyncio.new_event_loop}


@pytest.hookimpl(trylast=True)  # after the shuffle
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run slow tests first, so that no process of the suite waits at the end for another's."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(autouse=True)
def _own_umask() -> Iterator[None]:
    """Undo the mask that a command sets when a test runs it in this process."""
    before = os.umask(0o077)
    os.umask(before)
    yield
    os.umask(before)


@pytest.fixture(scope="session", autouse=True)
def _state_of_no_user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the stacks of tests out of the state directory of the user who runs them."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture
def unused_tcp_port() -> int:
    """Replace pytest-asyncio's fixture, whose port an outgoing connection may take first."""
    return free_port()
