"""A process for supervisor tests: `LISTEN [stubborn|never-ready|MARK_FILE]`."""

import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc


def main(listen: str, manner: str) -> int:
    if manner == "refuses":
        sys.stdout.write("bad setting: nothing suits me\n")
        return 64
    stop = threading.Event()
    heeded = signal.SIG_IGN if manner == "stubborn" else lambda *_: stop.set()
    signal.signal(signal.SIGTERM, heeded)
    servicer = health.HealthServicer()
    state = health_pb2.HealthCheckResponse
    servicer.set("", state.NOT_SERVING if manner == "never-ready" else state.SERVING)
    server = grpc.server(ThreadPoolExecutor(2))
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    server.add_insecure_port(listen)
    server.start()
    # Looked at again and again: the signal may meet one of gRPC's threads, and a wait without an
    # end in the main thread, where Python runs handlers, would never notice.
    while not stop.wait(0.1):
        pass
    server.stop(0).wait(5)
    if manner.startswith("/"):
        with Path(manner).open("a") as mark:
            mark.write(f"{listen}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
