"""A feature store in a dictionary, which passes the contract tests of the real stores."""

from collections.abc import Mapping, Sequence

from understudy.domain.errors import UnavailableError
from understudy.domain.features import FeatureView
from understudy.features.decisions.entity_keys import check_ids
from understudy.features.decisions.record_format import event_time_ms_of, is_of, record_format
from understudy.features.decisions.record_order import is_later
from understudy.features.ports import LoadMark, ViewRead, WriteCounts


class FakeFeatureStore:
    """A reader and writer of a store. `why_down` makes reads fail."""

    def __init__(self) -> None:
        self.why_down: str | None = None
        self.records: dict[tuple[str, str], bytes] = {}
        self.marks: dict[str, int] = {}
        self.reads = 0

    async def read(
        self, reads: Sequence[ViewRead], *, timeout_s: float
    ) -> list[list[bytes | None]]:
        if timeout_s <= 0:
            raise UnavailableError("fake feature store", "no time left")
        if self.why_down is not None:
            raise UnavailableError("fake feature store", self.why_down)
        self.reads += 1
        return [
            [
                None if each is None else self.records.get((str(read.view), each))
                for each in read.entity_ids
            ]
            for read in reads
        ]

    def counters(self) -> Mapping[str, int]:
        return {"reads": self.reads}

    def troubles(self) -> Sequence[str]:
        return () if self.why_down is None else (self.why_down,)

    async def ping(self, *, timeout_s: float) -> None:
        await self.read([], timeout_s=timeout_s)

    async def newest_event_time_ms(self, view: FeatureView, *, timeout_s: float) -> int | None:
        await self.ping(timeout_s=timeout_s)
        form = record_format(view)
        records = [record for (name, _), record in self.records.items() if name == str(view)]
        return max((event_time_ms_of(form, record) for record in records), default=None)

    async def close(self) -> None:
        self.close_now()

    def write(
        self, view: FeatureView, records: Sequence[tuple[str, bytes]], *, mark: LoadMark | None
    ) -> WriteCounts:
        check_ids(view.key, [entity_id for entity_id, _ in records])
        form = record_format(view)
        written = 0
        for entity_id, record in records:
            there = self.records.get((str(view), entity_id))
            if there is not None and is_of(form, there) and not is_later(form, record, than=there):
                continue
            self.records[str(view), entity_id] = record
            written += 1
        if mark is not None:
            self.marks[mark.load_id] = mark.rows
        return WriteCounts(written, len(records) - written)

    def read_mark(self, load_id: str) -> int:
        return self.marks.get(load_id, 0)

    def count_held(self, view: FeatureView, entity_ids: Sequence[str]) -> int:
        return sum((str(view), each) in self.records for each in entity_ids)

    def delete(self, view: FeatureView, entity_id: str) -> bool:
        check_ids(view.key, [entity_id])
        return self.records.pop((str(view), entity_id), None) is not None

    def close_now(self) -> None:
        self.why_down = "closed"
