"""Pages of versions, revisions and the audit log: no list grows with the registry."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from sqlalchemy import Connection

from registry.server.origins import origin_to_wire
from registry.server.wire import (
    add_marks,
    audit_to_wire,
    model_faults,
    model_of,
    number_faults,
    ref_faults,
    revision_to_wire,
    stored_version_to_wire,
)
from registry.store import audit_log, marks, refusals, revisions, tags, versions
from registry.version_past import names_were_proven, origin_of
from understudy.control.wire_values import (
    GREATEST_NUMBER,
    ref_from_wire,
    time_faults,
    timestamp,
    value_or_none,
)
from understudy.domain.errors import Fault, NotFoundError, raise_any
from understudy.domain.versions import VersionRef
from understudy.gate.gate import OF_THE_ORIGIN
from understudy.provenance.evidence import UNPROVEN
from understudy.registry.v1 import registry_pb2 as pb

_MOST_VERSIONS = 100  # of up to 74 kB each
_MOST_ROWS = 1_000

ItemT = TypeVar("ItemT")
ListRequest = pb.ListVersionsRequest | pb.ListRevisionsRequest | pb.ListAuditRequest


def version_message(connection: Connection, ref: VersionRef) -> pb.Version:
    """Return a version with its record, the evidence for it, and its origin.

    Raises:
        NotFoundError: there is no such version.
        CorruptedError: one of its feature views is not stored, or its row in the log is not readable.
    """
    stored = versions.get_version(connection, ref)
    message = stored_version_to_wire(stored, with_record=True)
    if not names_were_proven(connection, stored):
        for row in message.evidence:
            row.by += UNPROVEN if row.evidence == pb.EVIDENCE_WAIVED else ""
    add_marks(message, marks.of_versions(connection, [ref]).get(ref, {}))
    _add_tags(connection, [message])
    if (origin := origin_of(connection, stored)) is not None:
        message.origin.CopyFrom(origin_to_wire(origin))
        unseen = {row.field for row in message.evidence if row.field.startswith(OF_THE_ORIGIN)}
        for row in message.evidence:
            if row.field in unseen and row.evidence == pb.EVIDENCE_VERIFIED:
                row.evidence, row.by = pb.EVIDENCE_CLAIMED, ""
    return message


def versions_page(
    connection: Connection, request: pb.ListVersionsRequest
) -> pb.ListVersionsResponse:
    """Return a page of versions.

    Raises:
        InvalidInputError: the model's name, the limit or `after` is invalid.
        NotFoundError: no version of the named model is registered.
    """
    raise_any(_faults_of(request, _MOST_VERSIONS))
    model, limit = model_of(request), _limit_of(request, _MOST_VERSIONS)
    after = ref_from_wire(request.after) if request.HasField("after") else None
    found, has_more = _cut(versions.page_of(connection, model, after=after, limit=limit + 1), limit)
    if model is not None and not found and not versions.numbers_of(connection, model):
        raise NotFoundError("model", model)
    listed = [stored_version_to_wire(each, with_record=False) for each in found]
    marked = marks.of_versions(connection, [each.spec.ref for each in found])
    for message, each in zip(listed, found, strict=True):
        add_marks(message, marked.get(each.spec.ref, {}))
    _add_tags(connection, listed)
    return pb.ListVersionsResponse(versions=listed, has_more=has_more)


def _add_tags(connection: Connection, messages: Sequence[pb.Version]) -> None:
    of_models = {
        model: tags.of_model(connection, model) for model in {each.ref.model for each in messages}
    }
    for each in messages:
        found = of_models[each.ref.model].values()
        each.tags.extend(tag.name for tag in found if tag.ref.number == each.ref.number)


def revisions_page(
    connection: Connection, request: pb.ListRevisionsRequest
) -> pb.ListRevisionsResponse:
    """Return a page of a model's revisions, oldest first.

    Raises:
        InvalidInputError: the model's name, the limit, `before` or `until` is invalid.
        NotFoundError: the model was never deployed.
    """
    raise_any(_faults_of(request, _MOST_ROWS))
    limit = _limit_of(request, _MOST_ROWS)
    before = value_or_none(request, "before")
    until_ns = request.until.ToNanoseconds() if request.HasField("until") else None
    page = revisions.page_of(
        connection, request.model, before=before, limit=limit + 1, until_ns=until_ns
    )
    found, has_more = _cut(page, limit)
    if not found and revisions.current_of(connection, request.model) is None:
        raise NotFoundError("deployment of", request.model)
    return pb.ListRevisionsResponse(
        revisions=[revision_to_wire(each) for each in reversed(found)], has_more=has_more
    )


def audit_page(connection: Connection, request: pb.ListAuditRequest) -> pb.ListAuditResponse:
    """Return a page of the audit log, oldest first, without a verification.

    Raises:
        InvalidInputError: the model's name, the limit or `before` is invalid.
    """
    raise_any(_faults_of(request, _MOST_ROWS))
    limit = _limit_of(request, _MOST_ROWS)
    before = value_or_none(request, "before")
    found, has_more = _cut(
        audit_log.page_of(connection, model_of(request), before=before, limit=limit + 1), limit
    )
    return pb.ListAuditResponse(
        entries=[audit_to_wire(each) for each in reversed(found)], has_more=has_more
    )


def refusals_page(
    connection: Connection, request: pb.ListRefusalsRequest
) -> pb.ListRefusalsResponse:
    """Return a page of the refused attempts, oldest first.

    Raises:
        InvalidInputError: the limit or `before` is invalid.
    """
    before, limit = value_or_none(request, "before"), value_or_none(request, "limit")
    raise_any(
        [
            *number_faults(limit, "limit", _MOST_ROWS),
            *number_faults(before, "before", GREATEST_NUMBER),
        ]
    )
    most = _MOST_ROWS if limit is None else limit
    found, has_more = _cut(refusals.page_of(connection, before=before, limit=most + 1), most)
    return pb.ListRefusalsResponse(
        refusals=[
            pb.Refusal(
                sequence=each.sequence,
                minute=timestamp(each.minute_ns),
                actor=each.actor,
                peer=each.peer,
                call=each.call,
                reason=each.reason,
                attempts=each.attempts,
            )
            for each in reversed(found)
        ],
        has_more=has_more,
    )


def _cut(found: Sequence[ItemT], limit: int) -> tuple[Sequence[ItemT], bool]:
    return found[:limit], len(found) > limit


def _limit_of(request: ListRequest, most: int) -> int:
    limit: int | None = value_or_none(request, "limit")
    return most if limit is None else limit


def _faults_of(request: ListRequest, most: int) -> Iterator[Fault]:
    """Yield the faults of the page: model, limit, place and time, as far as the request has them."""
    if isinstance(request, pb.ListRevisionsRequest) or request.HasField("model"):
        yield from model_faults(request.model, "model")
    yield from number_faults(value_or_none(request, "limit"), "limit", most)
    if isinstance(request, pb.ListVersionsRequest):
        if request.HasField("after"):
            yield from ref_faults(request.after, "after")
        return
    yield from number_faults(value_or_none(request, "before"), "before", GREATEST_NUMBER)
    if isinstance(request, pb.ListRevisionsRequest) and request.HasField("until"):
        yield from time_faults(request.until, "until")
