"""The wait for a change to take effect, with progress on stderr."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from registry.decisions.effect import Awaited, AwaitedChange, Seen, SeenRouter, lagging
from registry.decisions.preflight import targets
from understudy.control.client import RegistryClient
from understudy.control.report_wire import model_state_from_wire, scorer_from_wire
from understudy.control.wire import deployment_from_wire
from understudy.control.wire_enums import NEWS_OF
from understudy.control.wire_values import value_or_none
from understudy.domain.errors import LaggingError, NotFoundError, UnavailableError
from understudy.registry.v1 import registry_pb2 as pb
from understudy.runtime.terminal.screen import Screen

LONGEST_WAIT_S = 60.0
_PAUSE_S = 0.5  # routers report once a second

Look = Callable[[], Seen]


@dataclass(frozen=True, slots=True)
class Effect:
    """The end of a wait."""

    waited_s: float
    routers: int  # in which the change is in effect
    hosts: int  # that report
    silent: tuple[str, ...]  # routers that were not waited for
    lagging: tuple[str, ...]  # empty: the change is in effect

    def check(self, awaited: Awaited) -> None:
        """Raise if the change is not in effect.

        Raises:
            LaggingError: with all that lags.
        """
        if self.lagging:
            raise LaggingError(awaited.subject, waited_s=self.waited_s, lagging=self.lagging)


def awaited_change(response: pb.ChangeDeploymentResponse) -> AwaitedChange:
    """Return the change that a registry has answered with."""
    before = deployment_from_wire(response.before) if response.HasField("before") else None
    if not response.HasField("after"):
        return AwaitedChange(response.before.model, response.revision, frozenset(), ends=True)
    after = deployment_from_wire(response.after)
    return AwaitedChange(after.model, response.revision, targets(before, after))


def await_effect(
    awaited: Awaited,
    look: Look,
    progress: Screen,
    *,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> Effect:
    """Look again and again until the change is in effect, or for 60 seconds at most.

    Args:
        awaited: the change.
        look: returns the latest reports; may raise UnavailableError, which counts as lagging.
        progress: gets a line when those who lag are others than before.
        clock: seconds, monotonic.
        pause: sleeps for some seconds.
    """
    began_s, seen = clock(), Seen((), (), ())
    told: tuple[str, ...] = ()
    while True:
        try:
            seen = look()
            open_points = lagging(awaited, seen)
        except UnavailableError as error:
            open_points = (str(error),)
        waited_s = clock() - began_s
        if not open_points or waited_s >= LONGEST_WAIT_S:
            routers = len(seen.reporting)
            return Effect(waited_s, routers, len(seen.hosts), seen.silent, open_points)
        if open_points != told:
            progress.say(f"waiting: {'; '.join(open_points)}")
            told = open_points
        pause(_PAUSE_S)


def looking_at(client: RegistryClient, model: str | None) -> Look:
    """Return a look at the registry's status of a model, or of all."""

    def look() -> Seen:
        try:
            return _seen(client.get_status(model), model)
        except NotFoundError:
            return Seen((), (), ())

    return look


def _seen(status: pb.GetStatusResponse, model: str | None) -> Seen:
    lineages = {each.host_id: each.belief.lineage for each in status.host_beliefs}
    return Seen(
        routers=tuple(
            SeenRouter(
                router.router_id,
                NEWS_OF[router.news],
                next((model_state_from_wire(m) for m in router.models if m.model == model), None),
                value_or_none(router.belief, "lineage"),
                value_or_none(router, "sequence"),
            )
            for router in status.routers
        ),
        hosts=tuple(each.host_id for each in status.hosts if each.news == pb.NEWS_REPORTING),
        scorers=tuple(scorer_from_wire(each) for each in status.scorers),
        host_lineages=lineages,
        unplaced=tuple(status.unplaced),
    )
