"""`understudy features delete`: removes the records of one entity from a store."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from understudy.domain.errors import (
    CheckFailedError,
    InvalidInputError,
    NotFoundError,
    UnavailableError,
)
from understudy.features.cli.get_command import stored_record
from understudy.features.cli.options import StoreUrl, ViewsFile
from understudy.features.cli.stored_records import stored_records
from understudy.runtime.terminal.json_output import print_json
from understudy.runtime.terminal.output_option import Format, Output
from understudy.runtime.terminal.screen import Screen

if TYPE_CHECKING:
    from understudy.domain.features import FeatureView

_NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class DeletedRecord:
    """The outcome of a deletion in one view."""

    view: str
    found: str  # before the deletion
    event_time: datetime | None  # None: no record, or its time is unknown
    values: int | None  # present ones; None: unknown
    deleted: bool


def delete(
    entity: Annotated[str, typer.Argument(metavar="ENTITY", help="Entity type, e.g. user.")],
    entity_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the entity.")],
    store: StoreUrl,
    views: ViewsFile,
    *,
    view: Annotated[
        str | None, typer.Option(help="NAME or NAME@VERSION; by default all of this entity type.")
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Delete the records of an entity in all views of its type; exits 64 if there are none.

    A record of bins is deleted whole, with the bins that no view names. Files of the history and
    logs keep their rows, and a load of an older file writes the record again.
    """
    from understudy.features.decisions.entity_keys import check_ids  # noqa: PLC0415 - slow import
    from understudy.features.decisions.families import families_of  # noqa: PLC0415 - slow import
    from understudy.features.stores import check_view, open_writer, require_store  # noqa: PLC0415 - slow import
    from understudy.features.views import load_views  # noqa: PLC0415 - slow import

    chosen = views_of_entity(load_views(views), entity, view)
    for each in chosen:
        check_ids(each.key, [entity_id], field="ID")
        check_view(store, each)
    require_store(store)
    kinds = [family for each in chosen for family in families_of(each)]
    found = [_found(store, each, entity_id) for each in kinds]
    writer = open_writer(store)
    rows: list[DeletedRecord] = []
    try:
        for each, before in zip(kinds, found, strict=True):
            rows.append(replace(before, deleted=writer.delete(each, entity_id)))
    finally:  # if the store fails on the way, the effect so far is reported
        writer.close_now()
        _report(rows, output)
    if not any(row.deleted for row in rows):
        raise NotFoundError("record", f"of {entity} {entity_id} in {', '.join(map(str, chosen))}")


def views_of_entity(
    known: Sequence["FeatureView"], entity: str, asked: str | None
) -> list["FeatureView"]:
    """Return the stored views of an entity type, or the one of them that is asked for.

    Raises:
        InvalidInputError: no stored view, or not the one asked for, is of this entity type.
        NotFoundError: no view has the name asked for.
    """
    from understudy.domain.features import ViewKind  # noqa: PLC0415 - slow import
    from understudy.features.cli.stored_view import stored_view  # noqa: PLC0415 - slow import

    stored = [view for view in known if view.kind is ViewKind.STORED]
    considered = [stored_view(known, asked)] if asked else stored
    chosen = [view for view in considered if view.entity == entity]
    if not chosen:
        types = ", ".join(dict.fromkeys(view.entity for view in considered)) or "none"
        raise InvalidInputError.of("ENTITY", read=entity, accepted=f"the entity of a view: {types}")
    return chosen


def _found(url: str, view: "FeatureView", entity_id: str) -> DeletedRecord:
    """Describe the record before its deletion; one that cannot be read is deleted all the same."""
    try:
        (record,) = stored_records(url, view, [entity_id])
        if record is None:
            return DeletedRecord(str(view), _NOTHING, None, None, deleted=False)
        stored = stored_record(view, entity_id, record, now_s=datetime.now(UTC).timestamp())
    except CheckFailedError:
        found = "a record of another definition"
        return DeletedRecord(str(view), found, None, None, deleted=False)
    except UnavailableError as error:
        found = f"a record that cannot be read, or none: {error.why}"
        return DeletedRecord(str(view), found, None, None, deleted=False)
    values = sum(each.value is not None for each in stored.values)
    return DeletedRecord(str(view), "a record", stored.event_time, values, deleted=False)


def _report(rows: Sequence[DeletedRecord], output: Format) -> None:
    if output is Format.JSON:
        print_json(rows)
    else:
        Screen().rows([asdict(row) for row in rows])
