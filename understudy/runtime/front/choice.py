"""The choice between the fronts."""

from enum import StrEnum

from understudy.domain.errors import InvalidInputError


class Front(StrEnum):
    """A kind of server for callers."""

    AUTO = "auto"  # Envoy where it can run, else grpc
    ENVOY = "envoy"
    GRPC = "grpc"


def chosen_front(wanted: Front, why_no_envoy: str) -> Front:
    """Return the front to serve with.

    Args:
        wanted: the setting.
        why_no_envoy: the reason for which Envoy cannot run here; empty if it can.

    Raises:
        InvalidInputError: Envoy is wanted and cannot run here.
    """
    match wanted:
        case Front.GRPC:
            return Front.GRPC
        case Front.ENVOY if why_no_envoy:
            read = f"envoy, and {why_no_envoy}"
            raise InvalidInputError.of("front", read=read, accepted="grpc or auto on this machine")
        case _:
            return Front.GRPC if why_no_envoy else Front.ENVOY
