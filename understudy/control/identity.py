"""The identity of a caller in call metadata. A claim, until mutual TLS proves it."""

import getpass
import socket

ACTOR_KEY = "understudy-actor"  # key in the call's metadata


def default_actor() -> str:
    """Return `user@host`, the actor if none is named."""
    return f"{getpass.getuser()}@{socket.gethostname()}"
