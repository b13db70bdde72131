"""Room for deployments: the stored part of the state that every watcher receives."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from registry.server.stored_state import StoredModel, StoredState, read_stored_model
from understudy.domain.changes import Revision
from understudy.domain.errors import RefusedError


@dataclass(frozen=True, slots=True)
class StateRoom:
    """The bound on the sum over all deployments and the versions that they need."""

    most_bytes: int
    standby_versions: int
    published: Callable[[], StoredState]  # the state before the change

    def check(self, connection: Connection, after: Revision) -> None:
        """Check that watchers could receive the state with `after` as its model's revision.

        Raises:
            RefusedError: they could not, and the change would make the state larger.
        """
        before = self.published()
        had_bytes = before.models.get(after.model, StoredModel()).size_bytes
        model = read_stored_model(
            connection, after.model, standby_versions=self.standby_versions, instead=after
        )
        wanted_bytes = before.size_bytes - had_bytes + model.size_bytes
        if wanted_bytes <= self.most_bytes or model.size_bytes <= had_bytes:
            return
        raise RefusedError(
            f"the deployments and their versions would be {wanted_bytes} bytes in what watchers "
            f"receive, and the registry allows {self.most_bytes} (REGISTRY_MAX_STATE_BYTES): "
            "undeploy a model, or end shadows and challengers"
        )
