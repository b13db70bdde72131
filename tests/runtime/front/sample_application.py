"""The sample service as a process, and as an application inside Envoy."""

import asyncio

from tests.runtime.front.sample_settings import sample_secrets, sample_transport
from tests.runtime.front.samples import MOST_BYTES, MOST_DUE_CALLS, SERVICE, SampleService
from understudy.runtime.exit_codes import OK, USAGE
from understudy.runtime.front.embedded_process import EmbeddedProcess, OpenServer
from understudy.runtime.front.embedding import Embedding
from understudy.runtime.front.envoy_secrets import secrets_kept
from understudy.runtime.front.port import Server
from understudy.runtime.lifecycle import DrainTimes, serve_until_stopped, stop_on_blocked_signals
from understudy.runtime.logs import configure_logs
from understudy.runtime.serving import add_health_and_reflection


async def serve(server: Server, stop: asyncio.Event, *, grace_s: float) -> int:
    service = SampleService()
    server.add_generic_rpc_handlers((service.handlers(),))
    health = add_health_and_reflection(server, (SERVICE,))
    await serve_until_stopped(server, health, stop, DrainTimes(0.2, grace_s))
    return OK


async def _main(embedding: Embedding, open_server: OpenServer) -> int:
    configure_logs("sample")
    if embedding.arguments["ending"] == "refused":
        return USAGE
    if embedding.arguments["ending"] == "defect":
        raise KeyError("a defect")
    stop = stop_on_blocked_signals(longest_s=60.0)
    grace_s = float(embedding.arguments["grace_s"])
    secrets = sample_secrets(embedding.arguments["folder"])
    async with secrets_kept(sample_transport().files, secrets):
        return await serve(open_server(MOST_BYTES, MOST_DUE_CALLS), stop, grace_s=grace_s)


application = EmbeddedProcess(_main)
