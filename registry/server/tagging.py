"""Tags: set, removed and listed, over the wire."""

import structlog
from sqlalchemy import Connection

from registry.decisions.actors import Actor
from registry.decisions.tagging import checked_tag
from registry.server.callers import checked_reason, log_facts
from registry.server.live_state import LiveState
from registry.server.wire import number_faults
from registry.store import tags, versions
from registry.tag_version import Tagger, TagRequest
from understudy.control.wire_values import ref_to_wire, timestamp, value_or_none
from understudy.domain.errors import NotFoundError, raise_any
from understudy.domain.versions import GREATEST_VERSION, checked_model_name
from understudy.registry.v1 import registry_pb2 as pb

_log = structlog.get_logger()


async def set_tag(
    request: pb.SetTagRequest, actor: Actor, live: LiveState, tagger: Tagger
) -> pb.SetTagResponse:
    """Set the tag or remove it, or return the effect of a dry run.

    Raises:
        InvalidInputError: the model, the version, the name or the reason is invalid.
        UnderstudyError: see `Tagger.set_tag`.
    """
    number = value_or_none(request, "number")
    raise_any(number_faults(number, "number", GREATEST_VERSION))
    asked = TagRequest(
        model=checked_model_name(request.model),
        name=checked_tag(request.name, "name"),
        number=number,
        moves=request.move,
        actor=actor,
        reason=checked_reason(request.reason),
        dry_run=request.dry_run,
    )
    done = await live.change_or_plan(
        lambda: tagger.set_tag(asked), models=[], dry_run=asked.dry_run
    )
    if done.audit_digest:
        _log.info(
            "version_tagged" if number is not None else "version_untagged",
            model=asked.model,
            tag=asked.name,
            number=number,
            **log_facts(actor),
            audit_digest=done.audit_digest,
        )
    return pb.SetTagResponse(before=done.before, applied=bool(done.audit_digest))


def listed_tags(connection: Connection, request: pb.ListTagsRequest) -> pb.ListTagsResponse:
    """Return the tags of a model, at most `MOST_TAGS`.

    Raises:
        InvalidInputError: not a valid name of a model.
        NotFoundError: no version of the model is registered.
    """
    model = checked_model_name(request.model)
    found = tags.of_model(connection, model)
    if not found and not versions.numbers_of(connection, model):
        raise NotFoundError("model", model)
    return pb.ListTagsResponse(
        tags=[
            pb.Tag(
                name=each.name,
                ref=ref_to_wire(each.ref),
                actor=each.actor,
                reason=each.reason,
                at=timestamp(each.at_ns),
            )
            for each in found.values()
        ]
    )
