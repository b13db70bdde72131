"""The margins that the registry has for a shadow, with their origin."""

from datetime import UTC

from understudy.control.client import RegistryClient
from understudy.control.margins_wire import margins_from_wire
from understudy.control.wire_values import value_or_none
from understudy.domain.margins import Margins, WrittenMargins
from understudy.registry.v1 import registry_pb2 as pb

_PAGE = 100  # revisions; most margins are among the newest


def recorded_margins(client: RegistryClient, model: str, version: int) -> WrittenMargins | None:
    """Return the margins of the newest revision in which `version` is a shadow with margins.

    Their origin is the first revision of those that have had them since without a break. None if
    no revision of the model has any, e.g. because it was never deployed.

    Raises:
        UnavailableError: the registry does not answer.
    """
    found: WrittenMargins | None = None
    request = pb.ListRevisionsRequest(model=model, limit=_PAGE)
    while True:
        page = client.revisions_page(request)
        for entry in reversed(page.revisions):
            margins = _margins_of(entry, version)
            if found is not None and margins != found.margins:
                return found
            if margins is not None:
                found = _written(entry, margins, found)
        if not page.has_more:
            return found
        request = pb.ListRevisionsRequest(
            model=model, limit=_PAGE, before=page.revisions[0].deployment.revision
        )


def _margins_of(entry: pb.RevisionEntry, version: int) -> Margins | None:
    shadows = (each for each in entry.deployment.shadows if each.version == version)
    return next(map(margins_from_wire, shadows), None)


def _written(
    entry: pb.RevisionEntry, margins: Margins, newer: WrittenMargins | None
) -> WrittenMargins:
    deployment = entry.deployment
    threshold = value_or_none(deployment, "decision_threshold")
    return WrittenMargins(
        margins=margins,
        threshold=threshold if newer is None else newer.threshold,
        revision=deployment.revision,
        actor=entry.actor,
        at=entry.at.ToDatetime(tzinfo=UTC).replace(tzinfo=None),
    )
