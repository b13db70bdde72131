"""Records of a store for the commands, read through a reader of their own with all their times."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from understudy.domain.errors import UnavailableError
from understudy.domain.record_layouts import BinsLayout

if TYPE_CHECKING:
    from understudy.domain.features import FeatureView

_LIMIT_S = 5.0  # of one read
_IDS_AT_A_TIME = 500


def stored_records(url: str, view: "FeatureView", entity_ids: Sequence[str]) -> list[bytes | None]:
    """Return the packed record of each entity; None if there is none.

    Raises:
        UnavailableError: the store, or its reader, did not answer for one of the entities.
    """
    from understudy.features.ports import UNANSWERED  # noqa: PLC0415 - slow import

    records = asyncio.run(_read(url, _with_own_times(view), entity_ids))
    if unanswered := sum(record == UNANSWERED for record in records):
        why = f"no answer for {unanswered} of {len(records)} entities"
        raise UnavailableError(f"feature store {url}", why)
    return records


async def _read(url: str, view: "FeatureView", entity_ids: Sequence[str]) -> list[bytes | None]:
    from understudy.features.ports import ViewRead  # noqa: PLC0415 - slow import
    from understudy.features.stores import isolated_store  # noqa: PLC0415 - slow import

    found: list[bytes | None] = []
    async with isolated_store(url) as store:
        for start in range(0, len(entity_ids), _IDS_AT_A_TIME):
            asked = ViewRead(view, entity_ids[start : start + _IDS_AT_A_TIME])
            (records,) = await store.read([asked], timeout_s=_LIMIT_S)
            found += records
    return found


def _with_own_times(view: "FeatureView") -> "FeatureView":
    """Return the view with the times that serving does not need, so that its reads include them."""
    if isinstance(view.layout, BinsLayout):
        return replace(view, layout=replace(view.layout, reads_own_times=True))
    return view
