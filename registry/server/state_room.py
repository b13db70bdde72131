"""Room for deployments: the stored part of the state that every watcher receives."""

from dataclasses import dataclass

from sqlalchemy import Connection

from registry.server.stored_state import StoredState, read_stored_state
from understudy.control.wire import deployment_to_wire, version_to_wire
from understudy.domain.changes import Revision
from understudy.domain.errors import RefusedError


@dataclass(frozen=True, slots=True)
class StateRoom:
    """The bound on the sum over all deployments and the versions that they need."""

    most_bytes: int
    standby_versions: int

    def check(self, connection: Connection, after: Revision) -> None:
        """Check that watchers could receive the state with `after` as its model's revision.

        Raises:
            RefusedError: they could not, and the change would make the state larger.
        """
        wanted_bytes = self._size_bytes(connection, after)
        if wanted_bytes <= self.most_bytes or wanted_bytes <= self._size_bytes(connection, None):
            return
        raise RefusedError(
            f"the deployments and their versions would be {wanted_bytes} bytes in what watchers "
            f"receive, and the registry allows {self.most_bytes} (REGISTRY_MAX_STATE_BYTES): "
            "undeploy a model, or end shadows and challengers"
        )

    def _size_bytes(self, connection: Connection, instead: Revision | None) -> int:
        return _size_of(
            read_stored_state(connection, standby_versions=self.standby_versions, instead=instead)
        )


def _size_of(state: StoredState) -> int:
    deployments = sum(deployment_to_wire(each).ByteSize() for each in state.deployments)
    return deployments + sum(version_to_wire(each).ByteSize() for each in state.versions)
