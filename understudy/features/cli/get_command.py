"""`understudy features get`: the record of one entity as serving reads it, with its age."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from understudy.domain.errors import CheckFailedError, NotFoundError
from understudy.domain.record_layouts import BinsLayout
from understudy.features.cli.options import StoredView, StoreUrl, ViewsFile
from understudy.features.cli.stored_records import stored_records
from understudy.runtime.terminal.json_output import print_json
from understudy.runtime.terminal.output_option import Format, Output
from understudy.runtime.terminal.screen import Screen

if TYPE_CHECKING:
    from understudy.domain.features import FeatureView


@dataclass(frozen=True, slots=True)
class StoredValue:
    """One feature of a record."""

    feature: str
    value: object  # None: absent
    status: str


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """The record of one entity."""

    view: str
    entity_id: str
    event_time: datetime | None  # None: unknown, in a record of bins of another tool
    age_s: float | None  # of the event time; negative in the future
    created_time: datetime | None
    ingestion_time: datetime | None  # when the store got the record; None if unknown
    is_expired: bool  # older than the view's ttl_s, so it counts as absent
    values: tuple[StoredValue, ...]


def get(
    entity_id: Annotated[str, typer.Argument(metavar="ENTITY", help="Id of the entity.")],
    store: StoreUrl,
    views: ViewsFile,
    view: StoredView = None,
    output: Output = Format.TABLE,
) -> None:
    """Show the stored record of an entity with its age, or those of the families of its view."""
    from understudy.features.cli.stored_view import stored_view  # noqa: PLC0415 - slow import
    from understudy.features.decisions.entity_keys import check_ids  # noqa: PLC0415 - slow import
    from understudy.features.decisions.families import families_of  # noqa: PLC0415 - slow import
    from understudy.features.stores import check_view, require_store  # noqa: PLC0415 - slow import
    from understudy.features.views import load_views  # noqa: PLC0415 - slow import

    chosen = stored_view(load_views(views), view)
    check_ids(chosen.key, [entity_id], field="ENTITY")
    check_view(store, chosen)
    require_store(store)
    now_s = datetime.now(UTC).timestamp()
    found: list[StoredRecord] = []
    absent: list[str] = []
    for each in families_of(chosen):
        (record,) = stored_records(store, each, [entity_id])
        if record is None:
            absent.append(str(each))
        else:
            found.append(stored_record(each, entity_id, record, now_s=now_s))
    if not found:
        raise NotFoundError("record", f"{chosen} {entity_id}")
    if output is Format.JSON:
        print_json(found)
        return
    for each_found in found:
        _show(each_found)
    for name in absent:
        Screen().say(f"{name} {entity_id}: no record")


def _show(found: StoredRecord) -> None:
    screen = Screen()
    created = "" if found.created_time is None else f", created {found.created_time}"
    ingested = "unknown" if found.ingestion_time is None else found.ingestion_time
    expired = ", expired: it counts as absent" if found.is_expired else ""
    screen.say(
        f"{found.view} {found.entity_id}: {_shown_time(found)}{created}, ingested {ingested}{expired}"
    )
    screen.rows([asdict(each) for each in found.values], columns=("feature", "value", "status"))


def stored_record(
    view: "FeatureView", entity_id: str, record: bytes, *, now_s: float
) -> StoredRecord:
    """Return the content of a store's record of an entity at `now_s`, UTC.

    Raises:
        CheckFailedError: it was written under another definition of the view.
    """
    from understudy.features.decisions.ingestion_times import ingestion_time_ms_of  # noqa: PLC0415 - slow import
    from understudy.features.decisions.record_format import (  # noqa: PLC0415 - slow import
        created_time_ms_of,
        event_time_ms_of,
        is_of,
        record_format,
        unpack_record,
    )

    form = record_format(view)
    if not is_of(form, record):
        raise CheckFailedError(
            f"the record of {entity_id} was written under another definition of {view}, "
            "so it counts as absent; load it again"
        )
    event_ms, created_ms = event_time_ms_of(form, record), created_time_ms_of(form, record)
    ingested_ms = ingestion_time_ms_of(form, record)
    age_s = now_s - event_ms / 1000
    is_timed = _has_event_time(view, event_ms)
    values = unpack_record(form, record)
    return StoredRecord(
        view=str(view),
        entity_id=entity_id,
        event_time=_time_of(event_ms) if is_timed else None,
        age_s=round(age_s, 3) if is_timed else None,
        created_time=_time_of(created_ms) if created_ms else None,
        ingestion_time=_time_of(ingested_ms) if ingested_ms else None,
        is_expired=view.ttl_s is not None and age_s > view.ttl_s,
        values=tuple(
            StoredValue(
                feature.name,
                values[feature.name],
                _status_of(values[feature.name], feature.max_age_s, age_s),
            )
            for feature in view.features
        ),
    )


def _has_event_time(view: "FeatureView", event_ms: int) -> bool:
    """Return whether the event time of a record is its own, and could be read.

    Without a bin for it, a record of bins is as new as its reading; with an unreadable one, it is
    as old as possible.
    """
    if isinstance(view.layout, BinsLayout) and not view.layout.event_time_bin:
        return False
    return view.layout is None or event_ms != 0


def _shown_time(found: StoredRecord) -> str:
    if found.event_time is None or found.age_s is None:
        return "event time unknown"
    return f"event time {found.event_time}, {found.age_s:.0f} s old"


def _status_of(value: object, max_age_s: float | None, age_s: float) -> str:
    if value is None:
        return "absent"
    return "stale" if max_age_s is not None and age_s > max_age_s else "present"


def _time_of(time_ms: int) -> datetime:
    return datetime.fromtimestamp(time_ms / 1000, UTC)
