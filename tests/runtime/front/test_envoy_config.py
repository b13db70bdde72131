"""Envoy's configuration, and the choice to use it."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.runtime.front.fronts import WITH_ENVOY
from tests.runtime.front.sample_worker import sample_front
from understudy.domain.errors import InvalidInputError
from understudy.runtime.front.choice import Front, chosen_front
from understudy.runtime.front.embedding import VARIABLE, embedded, embedding_environment
from understudy.runtime.front.envoy_config import envoy_config
from understudy.runtime.front.envoy_files import EnvoyFiles, find_envoy_files
from understudy.runtime.front.envoy_worker import envoy_command

GOLDEN = Path(__file__).parent / "golden" / "envoy.json"


def test_the_configuration_is_the_one_that_was_reviewed() -> None:
    """After a change on purpose, replace the file and read its difference."""
    front = sample_front(8400, "/state", "/site-packages/pyvoy/_pyvoy.abi3.so")

    assert envoy_config(front) == json.loads(GOLDEN.read_text())


@WITH_ENVOY
def test_envoy_accepts_the_configuration(tmp_path: Path) -> None:
    files = find_envoy_files()
    assert isinstance(files, EnvoyFiles), files
    config = envoy_config(sample_front(8400, str(tmp_path), files.module))
    # The application would be started too; its filter takes no part in this.
    connections = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]
    filters = connections["typed_config"]["http_filters"]
    assert filters.pop()["name"] == "pyvoy"
    end = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
    filters.append({"name": "envoy.filters.http.router", "typed_config": {"@type": end}})
    path = tmp_path / "envoy.json"
    path.write_text(json.dumps(config))

    checked = subprocess.run(
        [*envoy_command(files.envoy, path), "--mode", "validate"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize(
    ("wanted", "why", "chosen"),
    [
        (Front.GRPC, "", Front.GRPC),
        (Front.GRPC, "no glibc", Front.GRPC),
        (Front.AUTO, "", Front.ENVOY),
        (Front.AUTO, "no glibc", Front.GRPC),
        (Front.ENVOY, "", Front.ENVOY),
    ],
)
def test_auto_takes_envoy_where_it_can_run(wanted: Front, why: str, chosen: Front) -> None:
    assert chosen_front(wanted, why) is chosen


def test_envoy_is_refused_where_it_cannot_run() -> None:
    with pytest.raises(
        InvalidInputError, match=r"front: read .*no glibc.*; accepted: grpc or auto"
    ):
        chosen_front(Front.ENVOY, "no glibc")


@pytest.mark.parametrize(
    "own",
    [
        {"ROUTER_LISTEN": "a"},
        {"LD_PRELOAD": "/jemalloc.so", "PYTHONPATH": "/mine", "PYTHONHOME": "/home"},
    ],
)
def test_the_process_gives_its_children_the_environment_of_before(own: dict[str, str]) -> None:
    within = embedding_environment(
        own, arguments={"index": "3"}, admin_socket="/s", libpython="/libpython.so"
    )
    preloaded = within["LD_PRELOAD"].split(":")

    embedding = embedded(within)

    assert embedding.arguments == {"index": "3"}
    assert preloaded[-1] == "/libpython.so"
    assert own.get("LD_PRELOAD", "") in ("", preloaded[0])
    assert within == own
    assert VARIABLE not in within


def test_a_configuration_names_its_application_and_its_limits() -> None:
    front = replace(sample_front(8400, "/state", "/m.so"), most_calls=7, application="a.b:c")

    text = json.dumps(envoy_config(front))

    assert '"max_concurrency_limit": 7' in text
    assert '\\"app\\": \\"a.b:c\\"' in text
