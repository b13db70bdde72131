"""Variables that Kubernetes sets for each Service, in every container of its namespace.

A Service `router` gives each container `ROUTER_PORT=tcp://10.0.0.1:8400` and others, which have the
prefix of our settings and are none of them. They are recognised by name and value, so a setting of
that name (`ROUTER_METRICS_PORT`, beside a Service `router-metrics`) still has an effect, and
a misspelt one is still refused.
"""

import re
from collections.abc import Mapping

_NUMBER = re.compile(r"[0-9]+")
_URL = re.compile(r"(tcp|udp|sctp)://\S+")
_PROTOCOL = re.compile(r"tcp|udp|sctp")
_ADDRESS = re.compile(r"\S+")
_VALUE_OF: Mapping[re.Pattern[str], re.Pattern[str]] = {
    re.compile(r".+_SERVICE_HOST"): _ADDRESS,
    re.compile(r".+_SERVICE_PORT(_[A-Z0-9_]+)?"): _NUMBER,
    re.compile(r".+_PORT(_[0-9]+_(TCP|UDP|SCTP))?"): _URL,
    re.compile(r".+_PORT_[0-9]+_(TCP|UDP|SCTP)_PROTO"): _PROTOCOL,
    re.compile(r".+_PORT_[0-9]+_(TCP|UDP|SCTP)_PORT"): _NUMBER,
    re.compile(r".+_PORT_[0-9]+_(TCP|UDP|SCTP)_ADDR"): _ADDRESS,
}


def is_service_link(name: str, value: str) -> bool:
    """Return whether a variable of this name (in any case) and value is one of those."""
    return any(
        names.fullmatch(name.upper()) and values.fullmatch(value)
        for names, values in _VALUE_OF.items()
    )
