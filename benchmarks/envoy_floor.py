"""The floor of the Envoy front: a server inside Envoy that answers each Score with one response.

`python -m benchmarks.envoy_floor LISTEN RESPONSE_FILE FOLDER`.
"""

import sys
from pathlib import Path

from benchmarks.floor import no_op
from understudy.runtime.exit_codes import OK
from understudy.runtime.front.embedded_process import EmbeddedProcess, OpenServer
from understudy.runtime.front.embedding import Embedding
from understudy.runtime.front.envoy_config import EnvoyFront
from understudy.runtime.front.envoy_files import EnvoyFiles, find_envoy_files
from understudy.runtime.front.envoy_worker import become_envoy
from understudy.runtime.lifecycle import DrainTimes, serve_until_stopped, stop_on_blocked_signals
from understudy.runtime.serving import add_health
from understudy.scoring.v1 import scoring_pb2

_MOST_BYTES = 4 << 20
_MOST_DUE_CALLS = 1 << 16  # no limit


def main() -> None:
    listen, response, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3]).resolve()
    host, _, port = listen.rpartition(":")
    files = find_envoy_files()
    if not isinstance(files, EnvoyFiles):
        sys.exit(files)
    front = EnvoyFront(
        host=host,
        port=int(port),
        admin_socket=f"{folder}/envoy.sock",
        application=f"{__spec__.name}:application",
        module_file=files.module,
        stream_paths=(),
        most_calls=1_024,
        most_streams=1_024,
        most_connections=1_024,
        most_calls_per_connection=1_024,
        max_connection_age_s=3_600.0,
        max_connection_idle_s=3_600.0,
    )
    become_envoy(files, front, folder / "envoy.json", {"response": response})


async def _main(embedding: Embedding, open_server: OpenServer) -> int:
    prepared = Path(embedding.arguments["response"]).read_bytes()  # noqa: ASYNC240 - once, at the start
    server = open_server(_MOST_BYTES, _MOST_DUE_CALLS)
    server.add_generic_rpc_handlers((no_op(scoring_pb2.ScoreResponse.FromString(prepared)),))
    health = add_health(server)
    stop = stop_on_blocked_signals(longest_s=10.0)
    await serve_until_stopped(server, health, stop, DrainTimes(unready_delay_s=0, grace_s=3))
    return OK


application = EmbeddedProcess(_main)

if __name__ == "__main__":
    main()
