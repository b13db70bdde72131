"""The hops between a router and its scorers."""

from enum import StrEnum


class Hop(StrEnum):
    """The way of a batch to a scorer, with the same messages on each."""

    GRPC = "grpc"  # streams of ModelStreamInfer; to scorers on other machines too
    FRAMES = "frames"  # a local socket beside the one for gRPC; gRPC where a scorer has none
