"""A process that serves the sample service: `FRONT PORT FOLDER GRACE_S ENDING`."""

import asyncio
import sys
from pathlib import Path

from grpc_reflection.v1alpha import reflection

from tests.runtime.front.sample_application import serve
from tests.runtime.front.sample_settings import sample_secrets, sample_transport
from tests.runtime.front.samples import MOST_BYTES, SERVICE
from understudy.runtime.front.choice import Front
from understudy.runtime.front.envoy_config import EnvoyFront, EnvoySecrets
from understudy.runtime.front.envoy_files import EnvoyFiles, find_envoy_files
from understudy.runtime.front.envoy_secrets import write_secrets
from understudy.runtime.front.envoy_worker import become_envoy
from understudy.runtime.front.grpc_server import idle_limits, open_server
from understudy.runtime.health import SERVICE_NAME as HEALTH
from understudy.runtime.lifecycle import run, stop_on_signals

STREAMS = ("HoldStream", "Mirror", "MirrorByWriting")
MOST_CALLS = 8
STOP_LIMIT_S = 60.0
MAX_IDLE_S = 3.0  # of a connection


def sample_front(
    port: int, folder: str, module_file: str, secrets: EnvoySecrets | None = None
) -> EnvoyFront:
    return EnvoyFront(
        host="127.0.0.1",
        port=port,
        admin_socket=f"{folder}/envoy.sock",
        application="tests.runtime.front.sample_application:application",
        module_file=module_file,
        stream_paths=[
            f"/{HEALTH}/Watch",
            f"/{reflection.SERVICE_NAME}/ServerReflectionInfo",
            *(f"/{SERVICE}/{name}" for name in STREAMS),
        ],
        most_calls=MOST_CALLS,
        most_streams=64,
        most_connections=1_024,
        most_calls_per_connection=1_024,
        max_connection_age_s=300.0,
        max_connection_idle_s=MAX_IDLE_S,
        secrets=secrets,
    )


def main() -> None:
    kind, port, folder, grace_s, ending = sys.argv[1:]
    if kind == Front.GRPC:
        sys.exit(run(lambda: _serve_by_grpc(port, grace_s)))
    files = find_envoy_files()
    assert isinstance(files, EnvoyFiles), files
    secrets = sample_secrets(folder)
    front = sample_front(int(port), folder, files.module, secrets)
    if secrets is not None:
        write_secrets(sample_transport().files.read(), secrets)
    arguments = {"grace_s": grace_s, "ending": ending, "folder": folder}
    become_envoy(files, front, Path(folder) / "envoy.json", arguments)


async def _serve_by_grpc(port: str, grace_s: str) -> int:
    stop: asyncio.Event = stop_on_signals(longest_s=STOP_LIMIT_S)
    async with open_server(max_message_bytes=MOST_BYTES, **idle_limits(MAX_IDLE_S)) as server:
        sample_transport().bind(server, f"127.0.0.1:{port}")
        return await serve(server, stop, grace_s=float(grace_s))


if __name__ == "__main__":
    main()
