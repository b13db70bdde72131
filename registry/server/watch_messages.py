"""Messages of Watch, serialised once for all watchers, because a snapshot may be large."""

from understudy.control.wire import snapshot_to_wire
from understudy.domain.snapshots import Snapshot
from understudy.registry.v1 import registry_pb2 as pb


class WatchMessages:
    """Keeps the bytes of the latest snapshot."""

    def __init__(self) -> None:
        self._snapshot: Snapshot | None = None
        self._written = b""

    def written(self, snapshot: Snapshot) -> bytes:
        """Return the WatchResponse that carries `snapshot`."""
        if snapshot is not self._snapshot:
            message = pb.WatchResponse(snapshot=snapshot_to_wire(snapshot))
            self._snapshot, self._written = snapshot, message.SerializeToString()
        return self._written
