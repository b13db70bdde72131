"""Behaviour specific to LMDB: a map that grows under its readers, processes, folders."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from tests.features.builders import a_record, a_view
from tests.features.loading_process import RemoteWriter
from understudy.domain.errors import InvalidInputError, NotFoundError, UnavailableError
from understudy.domain.features import Feature, FeatureDtype
from understudy.features.adapters import lmdb_environment, lmdb_writer
from understudy.features.adapters.lmdb_store import LmdbStore
from understudy.features.adapters.lmdb_writer import LmdbWriter
from understudy.features.ports import ViewRead
from understudy.features.stores import open_store, open_writer, require_store

WAIT_S = 60.0
TEXT = a_view("text", (Feature("text", FeatureDtype.STRING),))


def _grow(path: Path, records: int) -> int:
    """Write more than the initial map holds, in the calling process."""
    lmdb_environment.FIRST_MAP_BYTES = 1 << 20
    writer = lmdb_writer.LmdbWriter(path)
    content = "x" * 100_000
    rows = [(f"u{number}", a_record(TEXT, {"text": content})) for number in range(records)]
    try:
        return writer.write(TEXT, rows, mark=None).written
    finally:
        writer.close_now()


async def test_a_reader_sees_a_load_that_grew_the_map(
    tmp_path: Path, loading_process: ProcessPoolExecutor
) -> None:
    assert loading_process.submit(_grow, tmp_path, 1).result(30) == 1
    store = LmdbStore(tmp_path)
    (first,) = store.read_blocking([ViewRead(TEXT, ["u0", "u40"])], timeout_s=WAIT_S)
    assert first[1] is None

    assert loading_process.submit(_grow, tmp_path, 41).result(30) == 40

    (records,) = store.read_blocking([ViewRead(TEXT, ["u0", "u40"])], timeout_s=WAIT_S)
    assert records[0] == first[0]
    assert records[1] == a_record(TEXT, {"text": "x" * 100_000})
    await store.close()


async def test_a_reader_sees_the_first_load(
    tmp_path: Path, loading_process: ProcessPoolExecutor
) -> None:
    url = f"lmdb:{tmp_path / 'not' / 'there'}"
    open_writer(url).close_now()
    store = open_store(url)
    read = [ViewRead(TEXT, ["u"])]
    assert await store.read(read, timeout_s=WAIT_S) == [[None]]

    record = a_record(TEXT, {"text": "t"})
    RemoteWriter(loading_process, url).write(TEXT, [("u", record)], mark=None)

    assert await store.read(read, timeout_s=WAIT_S) == [[record]]
    await store.close()


def _read_in(path: Path, ids: list[str]) -> list[bytes | None]:
    (records,) = LmdbStore(path).read_blocking([ViewRead(TEXT, ids)], timeout_s=WAIT_S)
    return records


def test_several_processes_read_at_once(tmp_path: Path) -> None:
    writer = LmdbWriter(tmp_path)
    record = a_record(TEXT, {"text": "t"})
    writer.write(TEXT, [("u", record)], mark=None)

    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as readers:
        found = [readers.submit(_read_in, tmp_path, ["u", "v"]).result(30) for _ in range(4)]

    assert found == [[record, None]] * 4
    writer.close_now()


def test_a_folder_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(UnavailableError):
        open_writer(f"lmdb:{tmp_path / 'file' / 'below'}")


@pytest.mark.parametrize("place", ["nowhere", "empty", "empty/below", "file", "file/below"])
@pytest.mark.parametrize("read", [open_store, require_store])
def test_reading_makes_no_store(tmp_path: Path, place: str, read: Callable[[str], object]) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()

    with pytest.raises(NotFoundError, match=f"lmdb:{tmp_path / place} does not exist"):
        read(f"lmdb:{tmp_path / place}")

    assert sorted(tmp_path.rglob("*")) == [tmp_path / "empty", tmp_path / "file"]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "lmdb:",
        "redis://x",
        "aerospike://host/ns",
        "aerospike://host:3000",
        "aerospike://h:1/a b",
    ],
)
def test_a_url_without_a_known_store_is_refused(url: str) -> None:
    with pytest.raises(InvalidInputError, match="lmdb:FOLDER or aerospike"):
        open_store(url)


async def test_a_closed_store_is_unavailable(tmp_path: Path) -> None:
    LmdbWriter(tmp_path).close_now()
    store = LmdbStore(tmp_path)
    await store.close()

    with pytest.raises(UnavailableError):
        store.read_blocking([ViewRead(TEXT, ["u"])], timeout_s=WAIT_S)
