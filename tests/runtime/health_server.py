"""A process for supervisor tests: `LISTEN [stubborn|never-ready|fails|refuses|refuses-in-its-way|MARK_FILE]`."""

import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

_SAID_AT_THE_END = {
    "fails": ("nothing works\n", 3),
    "refuses-in-its-way": ("nothing suits me\n", 64),
    "refuses": (
        """understudy: ROUTER_LISTN: read an unknown setting; accepted: ROUTER_LISTEN
understudy: ROUTER_WORKERS: read '0'; accepted: greater than or equal to 1
""",
        64,
    ),
}


def main(listen: str, manner: str) -> int:
    if manner in _SAID_AT_THE_END:
        said, exit_code = _SAID_AT_THE_END[manner]
        sys.stdout.write(said)
        return exit_code
    # Blocked here and so in every later thread, then waited for. A handler would not work: the kernel
    # may send a dying parent's signal once for each of its threads, and a handler that interrupts
    # itself waits for a lock that it holds.
    heeded = signal.SIGUSR1 if manner == "stubborn" else signal.SIGTERM
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, heeded})
    servicer = health.HealthServicer()
    state = health_pb2.HealthCheckResponse
    servicer.set("", state.NOT_SERVING if manner == "never-ready" else state.SERVING)
    server = grpc.server(ThreadPoolExecutor(2))
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    server.add_insecure_port(listen)
    server.start()
    signal.sigwait({heeded})
    server.stop(0).wait(5)
    if manner.startswith("/"):
        with Path(manner).open("a") as mark:
            mark.write(f"{listen}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
