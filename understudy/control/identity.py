"""The identity of a caller in call metadata. A claim, until mutual TLS proves it."""

import getpass
import socket

ACTOR_KEY = "understudy-actor"  # key in the call's metadata
ON_BEHALF_OF_KEY = "understudy-on-behalf-of"  # person for whom an automation acts


def default_actor() -> str:
    """Return `user@host`, the actor if none is named."""
    return f"{getpass.getuser()}@{socket.gethostname()}"
