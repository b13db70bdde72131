"""A writer in another process, like real loaders: LMDB opens a folder once per process."""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from understudy.domain.features import FeatureView
from understudy.features.ports import LoadMark, WriteCounts
from understudy.features.stores import open_writer

_WAIT_S = 120.0


def start_loading_process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"))


class RemoteWriter:
    """A `FeatureWriter` on the store at `url`, opened in `process` for each call."""

    def __init__(self, process: ProcessPoolExecutor, url: str) -> None:
        self._process = process
        self._url = url

    def write(
        self, view: FeatureView, records: Sequence[tuple[str, bytes]], *, mark: LoadMark | None
    ) -> WriteCounts:
        return self._process.submit(_write, self._url, view, records, mark).result(_WAIT_S)

    def read_mark(self, load_id: str) -> int:
        return self._process.submit(_read_mark, self._url, load_id).result(_WAIT_S)

    def count_held(self, view: FeatureView, entity_ids: Sequence[str]) -> int:
        return self._process.submit(_count_held, self._url, view, entity_ids).result(_WAIT_S)

    def delete(self, view: FeatureView, entity_id: str) -> bool:
        return self._process.submit(_delete, self._url, view, entity_id).result(_WAIT_S)

    def close_now(self) -> None:
        """Do nothing: no store stays open between calls."""


def _write(
    url: str, view: FeatureView, records: Sequence[tuple[str, bytes]], mark: LoadMark | None
) -> WriteCounts:
    writer = open_writer(url)
    try:
        return writer.write(view, records, mark=mark)
    finally:
        writer.close_now()


def _read_mark(url: str, load_id: str) -> int:
    writer = open_writer(url)
    try:
        return writer.read_mark(load_id)
    finally:
        writer.close_now()


def _count_held(url: str, view: FeatureView, entity_ids: Sequence[str]) -> int:
    writer = open_writer(url)
    try:
        return writer.count_held(view, entity_ids)
    finally:
        writer.close_now()


def _delete(url: str, view: FeatureView, entity_id: str) -> bool:
    writer = open_writer(url)
    try:
        return writer.delete(view, entity_id)
    finally:
        writer.close_now()
