"""How calls say who acts. A claim, until mutual TLS proves it."""

import getpass
import socket

ACTOR_KEY = "understudy-actor"  # of the call's metadata


def default_actor() -> str:
    """Return `user@host`, who acts when nobody else is named."""
    return f"{getpass.getuser()}@{socket.gethostname()}"
