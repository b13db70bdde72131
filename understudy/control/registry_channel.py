"""Channels to a registry: one address, or the addresses of several registries over one database."""

from collections.abc import Mapping, Sequence
from queue import Empty, SimpleQueue
from time import monotonic

import grpc
import structlog

from understudy.control.access import access_of_environment
from understudy.domain.errors import InvalidInputError
from understudy.runtime.transport.chosen_channel import ChosenChannel
from understudy.runtime.transport.transport import Options, Transport

_ADDRESS_LISTS = ("ipv4:", "ipv6:")  # gRPC takes commas in these itself
_CONNECT_LIMIT_S = 10.0  # of one address, before the next one is tried

_log = structlog.get_logger()


def addresses_of(registry: str) -> tuple[str, ...]:
    """Return the addresses in a setting or option, in the order in which they are tried.

    Raises:
        InvalidInputError: one of them is empty, or is named twice.
    """
    if registry.startswith(_ADDRESS_LISTS):
        return (registry,)
    found = tuple(each.strip() for each in registry.split(","))
    if not all(found) or len({*found}) != len(found):
        accepted = "HOST:PORT, or several different ones separated by commas"
        raise InvalidInputError.of("registry", read=registry, accepted=accepted)
    return found


class RegistryChannel(ChosenChannel):
    """A channel to the registry at one of several addresses, which are used in turn.

    All calls go to one address until `move_on`. The channels are closed with this one.
    """

    def __init__(self, channels: Mapping[str, grpc.aio.Channel]) -> None:
        """Begin with the first of `channels`, by address; nothing is sent yet."""
        super().__init__()
        self._channels = tuple(channels.items())
        self._place = 0

    @property
    def address(self) -> str:
        """The address in use."""
        return self._channels[self._place][0]

    @property
    def has_others(self) -> bool:
        """True if there is an address besides the one in use."""
        return len(self._channels) > 1

    def move_on(self) -> None:
        """Let new calls go to the next address; after the last one, to the first."""
        if self.has_others:
            self._place = (self._place + 1) % len(self._channels)
            _log.info("registry_tried", registry=self.address)

    def current(self) -> grpc.aio.Channel:
        return self.last_used

    @property
    def last_used(self) -> grpc.aio.Channel:
        return self._channels[self._place][1]

    async def close(self, grace: float | None = None) -> None:
        for _, channel in self._channels:
            await channel.close(grace)


def open_connected_channel(
    registry: str, access: Transport | None, options: Options
) -> tuple[str, grpc.Channel]:
    """Return the first address that can be connected to, and a channel for threads to it.

    A single address is taken as it is, and nothing is sent; so is the last of several.

    Args:
        registry: one address or several.
        access: by default that of the environment, or of a stack of this user at the address.
        options: of the channel.

    Raises:
        InvalidInputError: the access does not fit an address, or an address is faulty.
    """
    *firsts, last = addresses_of(registry)
    for address in firsts:
        channel = _opened(address, access, options)
        if _connects(channel, _CONNECT_LIMIT_S):
            return address, channel
        channel.close()
    return last, _opened(last, access, options)


def _opened(address: str, access: Transport | None, options: Options) -> grpc.Channel:
    access = access_of_environment(address) if access is None else access
    return access.open_blocking_channel(address, options, named="registry")


def _connects(channel: grpc.Channel, limit_s: float) -> bool:
    states: SimpleQueue[grpc.ChannelConnectivity] = SimpleQueue()
    end_s = monotonic() + limit_s
    channel.subscribe(states.put, try_to_connect=True)
    try:
        state = states.get(timeout=limit_s)
        while state not in _SETTLED:
            state = states.get(timeout=max(0.0, end_s - monotonic()))
    except Empty:
        return False
    finally:
        channel.unsubscribe(states.put)
    return state is grpc.ChannelConnectivity.READY


_SETTLED: Sequence[grpc.ChannelConnectivity] = (
    grpc.ChannelConnectivity.READY,
    grpc.ChannelConnectivity.TRANSIENT_FAILURE,
)
